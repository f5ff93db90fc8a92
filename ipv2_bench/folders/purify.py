"""Purified pairs written to disk, for training with other programs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.prepared import Prepared, refuse_folds
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.formats.png import check_grey, write_png
from ipv2_bench.data.hu_images import STEPS_PER_HU
from ipv2_bench.data.pair import Pair, PairDataset
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import PARTS
from ipv2_bench.errors import InputError
from ipv2_bench.files import prepare_output
from ipv2_bench.folders.model import Model, load_model
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.progress import track
from ipv2_bench.purification.strategy import Strategy

FOLDERS = ("root", "low", "normal")
"""Options of sources that name folders."""


def purify_pairs(
    config: Config,
    out: Path,
    strategy: str,
    background: str | None,
    weak: str | None = None,
    bits: int = 16,
    grey: str = "round",
    progress: bool = True,
) -> str:
    """Write the purified pairs of a data set: ``OUT/{train,val,test}/{lq,gt,label}/KEY.png``.

    ``lq`` is the strategy's training input, ``gt`` the NDCT, ``label`` the purified test label. Module 2 is calibrated on
    the training pairs, as in ``reproduce``; its noise is that of the first epoch.

    Parameters
    ----------
    config
        Data, split, window and noise.
    out
        New folder, or one that the same command left unfinished.
    strategy, background
        A strategy, and the rule of module 1 for a point of the lattice, where it is not the published one.
    weak
        Weak denoiser that module 3 needs, as :func:`~ipv2_bench.folders.model.load_model` takes it; for ``None`` such labels
        are left out, which the result says.
    bits, grey
        8 or 16, and ``round`` or ``truncate``: see :func:`~ipv2_bench.data.formats.png.write_png`. Slices are kept in steps of
        1/8 HU, finer than a level of 8 bit and coarser than one of 16 bit.
    progress
        Show bars.

    Returns
    -------
    str
        The result in words.

    Raises
    ------
    InputError
        When anything given is not usable.
    """
    if bits not in (8, 16):
        raise InputError(f"--bits is {bits}: use 8 or 16")
    check_grey(grey)
    chosen = Strategy.from_name(strategy, background=background)
    if chosen.trains_more:
        raise InputError(f"strategy {chosen.name} takes effect in training alone: there are no files of its pairs to write")
    model = None if weak is None else load_model(weak, config.denoisers)
    refuse_folds(config, "ipv2-bench purify")
    prepared = Prepared.open(config, progress, distances=False)
    if model is not None and (model.window.low, model.window.high) != (prepared.window.low, prepared.window.high):
        raise InputError(
            f"the weak denoiser's window is {model.window.low:g} to {model.window.high:g} HU: set data.window to it"
        )
    slices = prepared.slices
    what = [
        slices.manifest,
        [chosen.base, chosen.options, chosen.version],
        prepared.add_noise.identity(),
        bits,
        grey,
        None if model is None else model.sha256,
        config.seeds[0],
    ]
    prepare_output(out, [Path(str(v)) for k, v in config.data.options.items() if k in FOLDERS and v], "purify", {"of": what})
    module = PairedCTDataModule(slices, prepared.split, chosen, prepared.add_noise, seed=config.seeds[0])
    module.setup("fit")
    labelled = chosen.has_label and (not chosen.remove_noise or model is not None)
    masks = chosen.label_masks(slices) if labelled else None
    data = PairDataset(slices, np.arange(len(slices)), module.masks, module.integrals, targets=module.targets)
    part = {int(i): name for name in PARTS for i in getattr(module.split, name)}
    present, step = 0, 1.0 / (STEPS_PER_HU * prepared.window.width)
    for i in track(sorted(part), "purifying", unit="pair", enabled=progress):
        paths = {side: out / part[i] / side / f"{slices.key[i]}.png" for side in ("lq", "gt", "label")}
        if not labelled:
            del paths["label"]
        if all(p.exists() for p in paths.values()):
            present += 1
            continue
        pair = Pair(*(x[None] for x in data[i]))
        purified = module.purify(pair, epoch=0)
        images = {"lq": purified.input, "gt": purified.target}
        if masks is not None:
            mask = torch.from_numpy(np.array(masks[i])).float()[None, None] / 255.0
            remove = None if model is None else partial(_restored, model, slices, i)
            images["label"] = chosen.test_label(pair._replace(mask=mask), remove)
        for side, image in images.items():
            write_png(paths[side], image[0, 0].numpy(), bits, grey, step)
    counts = ", ".join(f"{len(getattr(module.split, p))} {p}" for p in PARTS)
    lines = [
        f"{counts} pairs under {chosen.name}, {bits} bit, HU {prepared.window.low:g} to {prepared.window.high:g}; {present} "
        "had been written before"
    ]
    if len(part) < len(slices):
        lines.append(f"{len(slices) - len(part)} pairs were left out, on which {chosen.name} cannot train")
    if not labelled:
        why = "module 3 needs --weak" if chosen.has_label else f"{chosen.name} has the NDCT for its label"
        lines.append(f"no folder label was written: {why}")
    return "\n".join(lines)


def _restored(model: Model, slices: SliceSet, i: int, low: torch.Tensor) -> torch.Tensor:
    """The uLDCT of slice i through the weak denoiser, like ``low`` [1, 1, N, N]; what it draws depends on the slice alone."""
    context = model.denoiser.context
    near = low if context == 1 else torch.from_numpy(slices.with_neighbours(slices.low, [i], context))
    return model.denoiser.restore(near, torch_generator(model.denoiser.seed, "denoise", i))
