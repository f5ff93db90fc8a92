"""Networks that were trained on photographs, frozen: one file each, and a file's name is the backbone's."""

VERSION = 1
"""Version of the backbones: raise when the same image gives other features."""
