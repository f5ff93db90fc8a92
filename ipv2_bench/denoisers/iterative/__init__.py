"""Denoisers that sample step by step: the four that the paper compares."""
