"""A Program in a machine: native library, contexts, the executor, the switch to a new version."""
