"""Who may do what, what they tried, and whose model files are taken."""
