"""``ipv2-bench detect``: whether nodules are still found after denoising."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, benchmark_of

HELP = "say how well model observers find nodules after each denoiser of the tables"
EXAMPLES = """\
ipv2-bench detect                                       ground-glass nodules of 4 to 10 mm, after ipv2-bench reproduce
ipv2-bench detect --kind solid --readings 4             solid ones, with four noise realisations of each slice"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--kind", default="ground_glass", metavar="KIND", help="ground_glass or solid (default: %(default)s)")
    parser.add_argument("--readings", type=int, default=2, metavar="N", help="noise realisations (default: %(default)s)")
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Measure and print the table."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.study.detection import detect

    print(detect(config, given.kind, given.readings, progress=not given.quiet))
    return 0
