"""``ipv2-bench report``: the HTML page of complete cells."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, add_tables, benchmark_of, table_numbers

HELP = "write the HTML page of complete tables again, without training"
EXAMPLES = """\
ipv2-bench report                                       the phantom's page, its pictures drawn anew"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_config(parser)
    add_tables(parser)


def run(given: argparse.Namespace) -> int:
    """Write the page and print its path."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.render import report

    print(report(config, table_numbers(given), progress=not given.quiet))
    return 0
