"""One file per measure; the catalogue (:mod:`ipv2_bench.metrics.catalogue`) finds them."""

ROOMS = ("spaces",)
"""Folders with more of them."""
