"""What tables of several kinds of servers have in common."""
