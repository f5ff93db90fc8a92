"""Data: from DICOM files, PNG files or a digital phantom to checked pairs of slices, and to batches."""

VERSION = 3
"""Version of the data: raise when shared reading, resampling, motion or lung selection change what slices hold."""
