"""The Program and what it is made of: records, element types, meanings, statuses, the .rtp file. Knows no ONNX."""
