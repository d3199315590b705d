"""What a station file is made of: tables, durations; and how a mistake in it is said. Kinds build on it."""
