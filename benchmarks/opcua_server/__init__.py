"""What the OPC UA server takes, and what it costs others."""
