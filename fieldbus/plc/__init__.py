"""Links that are called by their device: PLC clients write and read their tags."""
