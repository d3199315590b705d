"""The OPC UA server: the database as a typed address space, served by asyncua's stack in a thread of its own (docs/adr/0049)."""
