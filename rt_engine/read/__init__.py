"""ONNX file -> a checked graph in standard words: what is wrong with the file is said here."""
