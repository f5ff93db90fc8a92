"""The denoisers: one file each, named in the configuration by the file's name."""
