"""Sources of slices: one file each; its name is the name of the source in a configuration."""
