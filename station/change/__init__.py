"""A change of a model: one state machine, from a file to a version that stays or goes (docs/updates.md)."""
