"""``ipv2-bench list``: what can be named."""

from __future__ import annotations

import argparse

HELP = "list denoisers, strategies, measures, sources or configs"
EXAMPLES = """\
ipv2-bench list denoisers                               with their options and defaults
ipv2-bench list measures                                columns, units and which value is best"""
WHAT = ("denoisers", "strategies", "measures", "sources", "configs")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("what", choices=WHAT, help="what to list")


def run(given: argparse.Namespace) -> int:
    """Print the list."""
    from ipv2_bench.benchmark import names

    print(getattr(names, given.what)())
    return 0
