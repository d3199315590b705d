"""Structured Text for PLCs: blocks that call the servers of a station; small models as blocks without any server."""
