"""``ipv2-bench simulate``: a virtual ultra-low-dose scan on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from ipv2_bench.commands.arguments import GREY_HELP, add_settings

HELP = "scan a tree of normal-dose series again at ultra-low dose, onto the disk"
EXAMPLES = """\
ipv2-bench simulate CT OUT --format dicom               uLDCT, NDCT and truth in OUT/lq, gt and truth
ipv2-bench simulate CT OUT --dose 0.1 --size 256        a tenth of the dose that the series were taken with
ipv2-bench simulate CT OUT data.photons=40000           a number of photons instead, whatever dose the series had"""

DOSE = 0.02
"""That of the benchmark."""

INSTEAD = {
    "data.slices_per_patient": "it takes every slice that shows lung",
    "data.size": "give --size",
    "data.root": "give the folder as CT",
}
"""What to do instead of a setting that is given in another way."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("source", metavar="CT", help="tree of NDCT series in DICOM")
    parser.add_argument("out", metavar="OUT", help="new folder")
    parser.add_argument("--format", default="png16", help="png8, png16 or dicom (default: %(default)s)")
    parser.add_argument("--grey", default="round", metavar="round|truncate", help=GREY_HELP)
    parser.add_argument("--size", type=int, default=0, metavar="N", help="pixels along a side (default: as scanned)")
    parser.add_argument("--dose", type=float, metavar="D", help=f"fraction of the series' own dose (default: {DOSE:g})")
    add_settings(parser, "data.photons=40000")


def run(given: argparse.Namespace) -> int:
    """Scan and print a summary."""
    from ipv2_bench.benchmark.config import default_config
    from ipv2_bench.benchmark.prepared import check_source, window_of
    from ipv2_bench.benchmark.settings import DataSettings
    from ipv2_bench.errors import InputError

    config = default_config(given.settings, data={"source": "virtual_scan"})
    for word in given.settings:
        name = word.partition("=")[0]
        section, _, key = name.partition(".")
        own = section == "data" and key and key.partition(".")[0] not in DataSettings.model_fields
        if name in INSTEAD or (not own and name != "data.window"):
            instead = INSTEAD.get(name, "leave it out, or give data.window or an option of the virtual scan, data.NAME=value")
            raise InputError(f"simulate does not use the setting '{name}': {instead}")
    check_source(config.data, "virtual scan")
    window = window_of(config)
    from ipv2_bench.folders.simulate import simulate_tree

    source, out = Path(given.source), Path(given.out)
    by_photons = any(word.partition("=")[0] == "data.photons" for word in given.settings)
    if by_photons and given.dose is not None:
        raise InputError("--dose and data.photons both say how many photons there are: leave one of them out")
    dose = given.dose if given.dose is not None or by_photons else DOSE
    for name in ("data.cutoff", "data.kilovolt", "data.resample") if dose is not None else ():
        if any(word.partition("=")[0] == name for word in given.settings):
            kept = "which keeps the series' kernel, voltage and pixels"
            raise InputError(f"{name} cannot be set with a dose, {kept}: give data.photons")
    words = (given.format, given.size, given.grey, dose)
    print(simulate_tree(config.data.options, window, source, out, *words, progress=not given.quiet).text(out))
    return 0
