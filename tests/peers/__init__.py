"""Clients that we did not write, against our servers: each feature of each, and the table in docs/plc-clients.md."""
