"""What servers of all protocols share: the loop, connections."""
