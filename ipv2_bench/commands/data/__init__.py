"""Data in, images out: check, split, simulate, purify, denoise, calibrate."""
