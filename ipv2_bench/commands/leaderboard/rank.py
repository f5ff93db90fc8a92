"""``ipv2-bench rank``: rows from anywhere, ranked."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import row_files
from ipv2_bench.errors import InputError

HELP = "rank rows; those that cannot be compared are in lists of their own"
EXAMPLES = """\
ipv2-bench rank leaderboards/*/rows/*.json                              by the error against the truth
ipv2-bench rank leaderboards/*/rows/*.json --by edge_mtf50              by any measure (ipv2-bench list measures)"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("rows", nargs="*", metavar="ROW.json", help="files of rows")
    parser.add_argument("--by", default="rmse_hu", metavar="MEASURE", help="a column of the tables (default: %(default)s)")
    parser.add_argument(
        "--extra", action="append", default=[], metavar="PACKAGE.MODULE:CLASS", help="a measure of your own"
    )


def run(given: argparse.Namespace) -> int:
    """Print the lists."""
    from ipv2_bench.benchmark.tasks.rank import rank

    files, others = row_files(given.rows)
    if others:
        raise InputError(f"'{others[0]}' is no file of a row: name files that end in .json")
    print(rank(files, given.by, given.extra))
    return 0
