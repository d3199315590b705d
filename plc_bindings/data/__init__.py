"""What PLC clients see: areas, symbols, types."""
