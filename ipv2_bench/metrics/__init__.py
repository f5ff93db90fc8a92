"""Image sets and the truth → features, distances, fidelity: measures, their catalogue, and their uncertainty."""

VERSION = 2
"""Version of what all measures share (anatomy, distances, bootstrap): raise when the same images give other numbers."""
