"""Frequency-domain Flow Matching (arXiv 2510.07492)."""

from __future__ import annotations

from ipv2_bench.denoisers.fm import FlowMatching


class FrequencyFlowMatching(FlowMatching):
    """Flow matching with a frequency mixer in every residual block; objective, sampler and options as there."""

    title = "FFM"
    frequency = True
