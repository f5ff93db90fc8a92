"""Checks: a folder of slices or pairs read once, and what this machine can measure."""
