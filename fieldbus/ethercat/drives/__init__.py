"""Drives of profile CiA 402: their states, what they are asked for in every cycle, their words."""
