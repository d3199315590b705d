"""A station that runs: started, watched, asked, updated, stopped."""
