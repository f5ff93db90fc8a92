"""The denoisers: one file each, named in the configuration by the file's name."""

VERSION = 1
"""Version of what all denoisers share (base class: schedules, draws, padding): raise when it changes weights or images."""
