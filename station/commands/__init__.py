"""The commands of `rt-engine`, one file each."""
