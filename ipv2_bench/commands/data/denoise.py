"""``ipv2-bench denoise``: a folder of slices, denoised."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ipv2_bench.commands.arguments import add_quiet

HELP = "denoise DICOM, PNG, NIfTI or NumPy into a new folder; not a medical device"
EXAMPLES = """\
ipv2-bench denoise IN OUT                                               the weights in the package (unet-native)
ipv2-bench denoise IN OUT --checkpoint fm-native                        Flow Matching in three steps
ipv2-bench denoise IN OUT --checkpoint model.safetensors                weights of ipv2-bench train
ipv2-bench denoise IN OUT --checkpoint nl_means                         a denoiser that needs no training"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("source", metavar="IN", help="folder of slices or volumes, one file, or a zip archive")
    parser.add_argument("out", metavar="OUT", help="new folder")
    parser.add_argument(
        "--checkpoint",
        default="unet-native",
        metavar="FILE",
        help="trained denoiser by its name, file of ipv2-bench train, or nl_means or identity (default: %(default)s)",
    )
    parser.add_argument("--batch", type=int, default=2, metavar="N", help="slices at once (default: %(default)s)")
    parser.add_argument(
        "--outside",
        action="append",
        default=[],
        metavar="PACKAGE.MODULE:CLASS",
        help="class of your own that the checkpoint may import",
    )
    add_quiet(parser)


def run(given: argparse.Namespace) -> int:
    """Denoise and print a summary; 1 when files could not be denoised."""
    from ipv2_bench.folders.model import NO_DEVICE, check_checkpoint, load_model

    check_checkpoint(given.checkpoint)
    from ipv2_bench.folders.denoise import denoise_tree
    from ipv2_bench.folders.opened import opened

    print(f"ipv2-bench denoise: {NO_DEVICE}", file=sys.stderr)
    model, out = load_model(given.checkpoint, given.outside), Path(given.out)
    with opened(Path(given.source)) as source:
        summary = denoise_tree(source, out, model, given.batch, progress=not given.quiet, tell=print)
    print(summary.text(out))
    for finding in summary.findings:
        print(f"ipv2-bench: {finding}", file=sys.stderr)
    return 1 if summary.findings else 0
