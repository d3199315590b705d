"""The demo: an unstable machine behind Modbus, and what controls it."""
