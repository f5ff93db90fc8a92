"""``ipv2-bench verify``: rows held to their images."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_quiet, row_files

HELP = "measure the images of rows anew and say whether the rows are what they give"
EXAMPLES = """\
ipv2-bench verify leaderboards/phantom/rows/*.json                      every number
ipv2-bench verify ROW.json --weights                                    and the images from the weights
ipv2-bench verify ROW.json --retrained                                  of another machine, after reproduce here
ipv2-bench verify ROW.json --config native data.root=CT                 of another benchmark"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("settings", nargs="*", metavar="ROW.json|key=value", help="files of rows, and settings")
    parser.add_argument("--config", default="quick", metavar="NAME|FILE", help="their configuration (default: %(default)s)")
    parser.add_argument("--weights", action="store_true", help="also denoise anew with the row's weights")
    parser.add_argument("--retrained", action="store_true", help="images computed here, rows elsewhere: within 5 %%")
    add_quiet(parser)


def run(given: argparse.Namespace) -> int:
    """Measure, compare and print; 1 when a row is not what its images give."""
    from ipv2_bench.benchmark.config import load_config

    files, settings = row_files(given.settings)
    config = load_config(given.config, settings)
    from ipv2_bench.benchmark.rows.files import read_row

    for file in files:
        read_row(file)
    from ipv2_bench.benchmark.tasks.verify import report, verify

    verdicts = verify(config, files, given.weights, progress=not given.quiet, retrained=given.retrained)
    print(report(verdicts, given.retrained))
    return 1 if any(v.differences for v in verdicts) else 0
