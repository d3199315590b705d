"""Round trips of PLC calls beside those of plain C servers."""
