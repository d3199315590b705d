"""station.toml -> `StationConfig`, or every problem at once, each with its line."""
