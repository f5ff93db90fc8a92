"""Frequency-domain Flow Matching (arXiv 2510.07492)."""

from __future__ import annotations

from ipv2_bench.denoisers.iterative.fm import FlowMatching


class FrequencyFlowMatching(FlowMatching):
    """Flow matching with a frequency mixer in every residual block; objective, sampler and options are those of
    :class:`~ipv2_bench.denoisers.iterative.fm.FlowMatching`.
    """

    version = 1
    title = "FFM"
    frequency = True
