"""What survives the end of a station: every version of its models as files, and a journal of what became of them."""
