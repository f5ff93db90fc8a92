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
    parser.add_argument("what", metavar="|".join(WHAT), help="what to list")


def run(given: argparse.Namespace) -> int:
    """Print the list."""
    from ipv2_bench.errors import InputError
    from ipv2_bench.registry import suggestion

    if given.what not in WHAT:
        raise InputError(f"there is no list of '{given.what}': {suggestion(given.what, WHAT)}use one of {', '.join(WHAT)}")
    from ipv2_bench.benchmark.tasks import lists

    print(getattr(lists, given.what)())
    return 0
