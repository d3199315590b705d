"""Links to TwinCAT controllers; and the protocol's numbers."""
