"""``ipv2-bench split``: a split as a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ipv2_bench.commands.arguments import add_config, config_of

HELP = "write the split of a data set as a file that data.split can name"
EXAMPLES = """\
ipv2-bench split --write split.json                                    the phantom's
ipv2-bench split --write split.json --config variants_ct data.root=CT  to be used as data.split=split.json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--write", metavar="FILE", required=True, help="JSON file")
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Split and write."""
    from ipv2_bench.benchmark.prepared import Slices, check_settings, refuse_folds
    from ipv2_bench.data.split import write_split

    config = config_of(given)
    check_settings(config)
    refuse_folds(config, "ipv2-bench split")
    opened = Slices.open(config, progress=not given.quiet)
    write_split(opened.slices, opened.split, config.data.split, Path(given.write))
    split = opened.split
    print(f"{len(split.train)} train, {len(split.val)} val and {len(split.test)} test slices: {given.write}")
    return 0
