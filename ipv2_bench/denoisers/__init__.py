"""The denoisers: one file each in a room, named in the configuration by the file's name."""

VERSION = 1
"""Version of what all denoisers share (base class: schedules, draws, padding): raise when it changes weights or images."""

ROOMS = ("iterative", "one_pass", "filters")
"""Folders that the files of denoisers are in."""
