"""What kernels are made of: tiles, lanes, masks, elementary functions. Nothing here exports a kernel."""
