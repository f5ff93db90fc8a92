"""``ipv2-bench status``: how far the cells of a benchmark are, from any machine that sees its folder."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, add_tables, benchmark_of, table_numbers

HELP = "show how far the cells of a benchmark are, and why some failed"
EXAMPLES = """\
ipv2-bench status                                       the phantom's
ipv2-bench status --config native data.root=CT run.on=slurm   those in the queue, too"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_config(parser)
    add_tables(parser)


def run(given: argparse.Namespace) -> int:
    """Print a line for each cell; 1 when one of them has failed."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.status import status

    text, failed = status(config, table_numbers(given), progress=not given.quiet)
    print(text)
    return 1 if failed else 0
