"""The task and the reference clock of a bus, in phase."""
