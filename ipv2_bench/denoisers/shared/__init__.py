"""What denoisers share besides networks."""
