"""The commands that take folders of slices: check, denoise, simulate, purify, split."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ipv2_bench.errors import InputError


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Their arguments; ``command`` makes a parser with the options that all commands have."""
    text = "read a folder once and list all that is wrong with it; without one, say which columns can be computed here"
    made = command("check", text, "DATA or key=value")
    made.add_argument("--download", action="store_true", help="fetch missing weights, with their hash verified")
    made.add_argument("--picture", metavar="FILE", help="put a PNG with examples and their masks there")
    folders = "IN OUT, then key=value"
    made = command("denoise", "denoise a folder of PNG or DICOM slices into a new one; not a medical device", folders)
    made.add_argument("--checkpoint", required=True, metavar="FILE", help="of ipv2-bench train; or nl_means, identity")
    made.add_argument("--batch", type=int, default=2, help="slices at once (default: %(default)s)")
    trusted = "class of your own that the checkpoint may import"
    made.add_argument("--outside", action="append", default=[], metavar="PACKAGE.MODULE:CLASS", help=trusted)
    made = command("simulate", "scan a tree of NDCT series again at ultra-low dose, onto the disk", folders)
    made.add_argument("--format", default="png16", help="png8, png16 or dicom (default: %(default)s)")
    made.add_argument("--size", type=int, default=0, help="pixels along a side (default: as scanned)")
    made = command("purify", "write the purified pairs of a data set to the disk", "IN OUT, then key=value")
    made.add_argument("--strategy", default="IPv2", help="a point of the lattice (default: %(default)s)")
    made.add_argument("--background", default="flood_fill", help="rule of module 1 (default: %(default)s)")
    made.add_argument("--weak", default="", metavar="FILE", help="weak denoiser for the labels of module 3")
    made.add_argument("--bits", type=int, default=16, help="of the PNG, 8 or 16 (default: %(default)s)")
    made = command("split", "write the split of a data set as a file that data.split can name")
    made.add_argument("--write", metavar="FILE", required=True, help="where the JSON is put")


def _two_folders(given: argparse.Namespace) -> tuple[Path, Path]:
    """IN and OUT of the words; the rest of them are settings."""
    named = [word for word in given.settings if "=" not in word]
    if len(named) != 2:
        raise InputError(f"{given.command} takes two folders, IN and OUT: got {' '.join(named) or 'none'}")
    given.settings = [word for word in given.settings if "=" in word]
    return Path(named[0]), Path(named[1])


def _denoise(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.denoise import NO_DEVICE, denoise_tree, load_model

    source, out = _two_folders(given)
    if given.settings:
        raise InputError(f"denoise takes no settings such as {given.settings[0]}: the checkpoint tells them")
    print(f"ipv2-bench denoise: {NO_DEVICE}", file=sys.stderr)
    summary = denoise_tree(
        source, out, load_model(given.checkpoint, given.outside), given.batch, progress=not given.quiet
    )
    print(summary.text(out))
    for finding in summary.findings:
        print(f"ipv2-bench: {finding}", file=sys.stderr)
    return 1 if summary.findings else 0


def _simulate(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.simulate import simulate_tree

    source, out = _two_folders(given)
    config = load_config(given.config, [f"data.root={source}", "data.source=virtual_scan", *given.settings])
    print(simulate_tree(config, source, out, given.format, given.size, progress=not given.quiet).text(out))
    return 0


def _purify(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.purify import purify_pairs

    source, out = _two_folders(given)
    config = load_config(given.config, [f"data.root={source}", *given.settings])
    quiet = given.quiet
    print(purify_pairs(config, out, given.strategy, given.background, given.weak, given.bits, progress=not quiet))
    print(f"written to {out}")
    return 0


def _split(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.plan import open_slices
    from ipv2_bench.data.split import write_split

    config = load_config(given.config, given.settings)
    _, slices, split = open_slices(config, progress=not given.quiet)
    write_split(slices, split, config.data.split, Path(given.write))
    print(f"{len(split.train)} train, {len(split.val)} val and {len(split.test)} test slices: {given.write}")
    return 0


def _check(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.check import check_extractors
    from ipv2_bench.benchmark.check_data import check_data
    from ipv2_bench.benchmark.config import load_config

    named = [word for word in given.settings if "=" not in word]
    if len(named) > 1:
        raise InputError(f"check takes one folder: got {' '.join(named)}")
    if named:
        config = load_config(given.config, [word for word in given.settings if "=" in word])
        picture = Path(given.picture) if given.picture else None
        text, well = check_data(Path(named[0]), config, picture, progress=not given.quiet)
        print(text)
        return 0 if well else 2
    print(check_extractors(load_config(given.config, given.settings), given.download))
    return 0


COMMANDS = {
    "check": _check,
    "denoise": _denoise,
    "simulate": _simulate,
    "purify": _purify,
    "split": _split,
}
