"""``ipv2-bench train``: one denoiser under one strategy."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_one_cell, one_cell_of

HELP = "train one denoiser under one strategy"
EXAMPLES = """\
ipv2-bench train --denoiser fm --strategy IPv2                          prints the file of its weights
ipv2-bench train --denoiser my_denoiser:MyDenoiser train.steps=2000     your own"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_one_cell(parser)


def run(given: argparse.Namespace) -> int:
    """Train and print the files of the weights."""
    config = one_cell_of(given)
    from ipv2_bench.benchmark.tasks.one_cell import train

    print(train(config, given.denoiser, given.strategy, given.background, progress=not given.quiet))
    return 0
