"""Recordings: what a task saw, thought and did in every cycle, in MCAP files."""
