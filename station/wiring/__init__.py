"""A station's configuration -> links, image, slots, tasks, servers, wired. Nothing is started."""
