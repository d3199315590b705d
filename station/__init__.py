"""The composition root: station.toml -> links, process image, slots and tasks, wired; and the command line."""
