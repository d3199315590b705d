"""Tags, the process image, and links that move values between them and devices. Knows nothing of models."""
