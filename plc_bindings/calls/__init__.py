"""Models that PLCs call: predict, and calls that are answered again without Python."""
