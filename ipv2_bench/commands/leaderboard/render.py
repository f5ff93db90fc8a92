"""``ipv2-bench render``: tables and page from the files of rows alone."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, add_tables, config_of, table_numbers

HELP = "write tables and HTML page again from the files of rows alone"
EXAMPLES = """\
ipv2-bench render                                       the phantom's
ipv2-bench render --config native                       another leaderboard's"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_config(parser)
    add_tables(parser)


def run(given: argparse.Namespace) -> int:
    """Write and print the tables."""
    from ipv2_bench.benchmark.tasks.render import render_rows
    from ipv2_bench.benchmark.views.terminal import outcome_text

    config = config_of(given)
    views, page = render_rows(config, table_numbers(given))
    print(outcome_text(views, config.out, page))
    return 0
