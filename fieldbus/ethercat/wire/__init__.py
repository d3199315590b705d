"""Frames: the interface, who may use it, raw sockets, registers of slaves."""
