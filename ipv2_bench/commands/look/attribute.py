"""``ipv2-bench attribute``: which part of the images a distance comes from."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, benchmark_of

HELP = "say which part of the images the distances of Table 1 come from"
EXAMPLES = """\
ipv2-bench attribute                                    every cell of Table 1, after ipv2-bench reproduce
ipv2-bench attribute --denoiser fm,corediff             some of them"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--denoiser", default="", metavar="NAME,NAME", help="denoisers of Table 1 (default: all)")
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Attribute and print the table."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.attribution import attribute

    denoisers = tuple(given.denoiser.split(",")) if given.denoiser else ()
    print(attribute(config, denoisers, progress=not given.quiet))
    return 0
