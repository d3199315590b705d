"""What an update of a large model costs those who do not ask for it: PLC calls, and links."""
