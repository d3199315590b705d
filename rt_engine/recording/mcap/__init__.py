"""MCAP files, written and read in bulk: a chunk is one NumPy array, not a call for each message.

The format: https://mcap.dev/spec. What is written is read by every MCAP reader; what is read here is what `bulk` and `records` know
(no LZ4), and the rest is said to be there, never guessed.
"""
