"""How ready this computer is for real time, from its own files and measured."""
