"""``ipv2-bench purify``: purified pairs on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from ipv2_bench.commands.arguments import GREY_HELP, add_settings

HELP = "write the purified pairs of a data set to the disk"
EXAMPLES = """\
ipv2-bench purify PAIRS OUT                                             training inputs, targets and labels under IPv2
ipv2-bench purify PAIRS OUT --weak weak.safetensors                     with the labels of module 3, too
ipv2-bench purify PAIRS OUT --config paper data.split=folder            with the settings of a configuration"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("source", metavar="PAIRS", help="folder with lq and gt of PNG or DICOM pairs")
    parser.add_argument("out", metavar="OUT", help="new folder")
    parser.add_argument("--strategy", default="IPv2", help="a point of the lattice (default: %(default)s)")
    parser.add_argument("--background", help="rule of module 1 (default: flood_fill)")
    parser.add_argument("--weak", default=None, metavar="FILE", help="weak denoiser for the labels of module 3")
    parser.add_argument("--bits", type=int, default=16, metavar="8|16", help="of the PNG (default: %(default)s)")
    parser.add_argument("--grey", default="round", metavar="round|truncate", help=GREY_HELP)
    parser.add_argument("--config", default=None, metavar="NAME|FILE", help="configuration (default: read from PAIRS)")
    add_settings(parser, "data.pixel_mm=0.7")


def run(given: argparse.Namespace) -> int:
    """Purify and print a summary."""
    from ipv2_bench.benchmark.cells.denoisers import check_names
    from ipv2_bench.folders.pairs import pairs_config
    from ipv2_bench.purification.strategy import Strategy

    Strategy.from_name(given.strategy, background=given.background)  # refused before anything heavy is imported
    source, out = Path(given.source), Path(given.out)
    config = pairs_config(source, given.config, given.settings)
    check_names(config, [])
    from ipv2_bench.folders.purify import purify_pairs

    chosen = (given.strategy, given.background, given.weak, given.bits, given.grey)
    print(purify_pairs(config, out, *chosen, progress=not given.quiet))
    print(f"written to {out}")
    return 0
