"""A float32 model to an int8 one: calibration, then the quantizer."""
