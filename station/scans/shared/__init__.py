"""What kinds of scan use, and is no kind itself."""
