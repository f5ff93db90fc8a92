"""Where cells run: one file each, named by ``run.on``."""
