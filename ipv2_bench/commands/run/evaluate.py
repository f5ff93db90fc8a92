"""``ipv2-bench evaluate``: the table line of a trained denoiser."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_one_cell, one_cell_of

HELP = "measure a trained denoiser"
EXAMPLES = """\
ipv2-bench evaluate --denoiser fm --strategy IPv2       with the settings of its training"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_one_cell(parser)


def run(given: argparse.Namespace) -> int:
    """Measure and print the line."""
    config = one_cell_of(given)
    from ipv2_bench.benchmark.tasks.one_cell import evaluate
    from ipv2_bench.benchmark.views.markdown import table_markdown

    view = evaluate(config, given.denoiser, given.strategy, given.background, progress=not given.quiet)
    print(table_markdown(view))
    return 0
