"""A recording run again: the same bits, or what another model would have put out."""
