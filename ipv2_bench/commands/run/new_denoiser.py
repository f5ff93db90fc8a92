"""``ipv2-bench new-denoiser``: a commented file that runs."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a commented file with a denoiser that runs"
EXAMPLES = """\
ipv2-bench new-denoiser MyDenoiser                      writes my_denoiser.py"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("name", help="name of the class, such as MyDenoiser")


def run(given: argparse.Namespace) -> int:
    """Write the file and print the commands that use it."""
    from ipv2_bench.benchmark.tasks.new_denoiser import new_denoiser

    print(new_denoiser(given.name, Path()))
    return 0
