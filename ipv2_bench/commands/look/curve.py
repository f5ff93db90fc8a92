"""``ipv2-bench curve``: the learning curve of a denoiser."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, benchmark_of
from ipv2_bench.errors import InputError

HELP = "train a denoiser for more and more steps under each strategy, and show where the tables stand"
EXAMPLES = """\
ipv2-bench curve                                        FM, 250 to 8,000 steps; about an hour of one core
ipv2-bench curve --denoiser ffm --steps 500,1000,2000   another denoiser, other lengths"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--denoiser", default="fm", metavar="NAME", help="denoiser (default: %(default)s)")
    parser.add_argument("--steps", default="", metavar="N,N", help="lengths of training (default: 250 to 8000)")
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Compute the curve and print its table."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.curve import STEPS, learning_curve

    try:
        steps = tuple(int(word) for word in given.steps.split(",")) if given.steps else STEPS
    except ValueError:
        raise InputError(f"--steps is '{given.steps}': expected whole numbers, such as 500,1000") from None
    print(learning_curve(config, given.denoiser, steps, progress=not given.quiet))
    return 0
