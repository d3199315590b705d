"""What kinds of links use, and is no kind itself."""
