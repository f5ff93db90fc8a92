"""``ipv2-bench calibrate``: module 2 fitted to data."""

from __future__ import annotations

import argparse
from pathlib import Path

from ipv2_bench.commands.arguments import add_config, config_of

HELP = "find the photons that give module 2 the noise of the uLDCT"
EXAMPLES = """\
ipv2-bench calibrate --config paper data.root=PAIRS                     with an interval and a picture
ipv2-bench calibrate --config paper data.root=PAIRS --write mine.yaml   and a configuration that holds the result"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--low-alone", action="store_true", help="use the uLDCT without its NDCT (a rough answer)")
    parser.add_argument("--write", metavar="FILE", help="write a copy of the configuration with the result")
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Calibrate and print the result."""
    from ipv2_bench.benchmark.prepared import check_settings

    config, write = config_of(given), Path(given.write) if given.write else None
    check_settings(config)  # before anything heavy is imported
    from ipv2_bench.benchmark.tasks.calibrate import calibrate

    print(calibrate(config, given.config, given.low_alone, write, progress=not given.quiet))
    return 0
