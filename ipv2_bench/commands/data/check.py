"""``ipv2-bench check``: a folder read once, or what this machine can measure."""

from __future__ import annotations

import argparse
from pathlib import Path

from ipv2_bench.commands.arguments import add_quiet

HELP = "list all that is wrong with a folder; without one, which columns can be computed here"
EXAMPLES = """\
ipv2-bench check DATA --picture check.png               a tree of DICOM, or lq and gt of PNG or DICOM pairs
ipv2-bench check                                        which columns can be computed on this machine
ipv2-bench check --download                             fetch the weights of FID, KID and CLIP-FID"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("settings", nargs="*", metavar="DATA|key=value", help="a folder, and settings of data and run")
    parser.add_argument("--download", action="store_true", help="fetch missing weights, with their hash verified")
    parser.add_argument("--picture", metavar="FILE", help="write a PNG with examples and their masks")
    add_quiet(parser)


def run(given: argparse.Namespace) -> int:
    """Print the report; 2 when something is wrong with the folder."""
    from ipv2_bench.benchmark.config import default_config
    from ipv2_bench.errors import InputError
    from ipv2_bench.weights import weights_folder

    folders = [word for word in given.settings if "=" not in word or Path(word).exists()]
    settings = [word for word in given.settings if word not in folders]
    if len(folders) > 1:
        raise InputError(f"check takes one folder: got {' '.join(folders)}")
    config = default_config(settings)
    if not folders:
        from ipv2_bench.folders.check.extractors import check_extractors

        print(check_extractors(weights_folder(config.run.weights), given.download))
        return 0
    from ipv2_bench.benchmark.prepared import check_source, window_of

    for name in ("root", "low", "normal"):
        if config.data.options.get(name):
            raise InputError(f"check reads the folder DATA and does not use data.{name}: name that folder in its place")

    # Only pairs of DICOM have options that a check uses.
    check_source(config.data.model_copy(update={"source": "paired_dicom"}), "check")
    window = window_of(config)
    from ipv2_bench.folders.check.folder import check_folder
    from ipv2_bench.folders.opened import opened

    picture = Path(given.picture) if given.picture else None
    with opened(Path(folders[0])) as folder:
        text, well = check_folder(folder, window, config.data.options, picture, progress=not given.quiet)
    print(text)
    return 0 if well else 2
