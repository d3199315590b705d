"""ONNX's own backend suite: see `suite` for the cases, `test_suite` for the run, `count` for the table."""
