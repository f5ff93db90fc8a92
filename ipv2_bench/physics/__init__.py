"""What a CT scanner does: units, projection and reconstruction, dose and noise."""

VERSION = 4
"""Version of the physics: raise when the same inputs give other numbers."""
