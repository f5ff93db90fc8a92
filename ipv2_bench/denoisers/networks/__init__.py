"""Networks that the denoisers share."""

VERSION = 3
"""Version of the networks: raise when the same weights and input give other output, or the same seed other weights."""
