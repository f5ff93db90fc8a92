"""A validation slice that is denoised now and then while a training goes on: what it looks like, and its PSNR."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from ipv2_bench.benchmark.cells.training.live import picture_of
from ipv2_bench.data.pair import PairDataset
from ipv2_bench.files import csv_text, write_text, write_whole
from ipv2_bench.physics.seeding import torch_generator

COLUMNS = ("step", "psnr_db")

SHARE = 0.02
"""Largest share of the training's time that is spent on it, but for the first."""

LEAST_S = 20.0
"""Seconds of training before the first: what is over sooner needs nobody to watch it."""


class Samples(L.Callback):
    """After a validation, denoises the middle validation slice as test slices are denoised, and keeps its PSNR and a picture.

    The PSNR is to the aligned truth, or to the NDCT where it is not known. A picture is uLDCT, output and target side by side.
    How often depends on the machine, so that this stands apart from what ``History`` keeps; nothing is computed from it, it draws
    nothing that training draws from, and its ``seconds`` are no cost of the training. It stands before the callbacks that time
    training, and before the one that averages weights.
    """

    def __init__(self, folder: Path, live: Callable[[int, Mapping[str, Any]], None]) -> None:
        self.folder, self.live = folder, live
        self.rows: list[list] = []
        self.seconds = 0.0
        self._since, self._last = 0.0, 0.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._since = time.monotonic()

    def state_dict(self) -> dict:
        return {"rows": [list(r) for r in self.rows]}

    def load_state_dict(self, state: dict) -> None:
        self.rows = [list(r) for r in state["rows"]]

    # Not behind the validation: by then averaged weights are the raw ones again.
    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        began = time.monotonic()
        trained = began - self._since
        affordable = trained >= LEAST_S if not self.seconds else self.seconds + self._last <= SHARE * trained
        if not trainer.is_global_zero or not affordable:
            return
        step, data = trainer.global_step, trainer.datamodule  # type: ignore[attr-defined]
        i = int(data.split.val[len(data.split.val) // 2])
        pair = PairDataset(data.slices, np.array([i]), context=data.context)[0]
        low = pair.low[None].to(module.device)
        with torch.autocast(module.device.type, enabled=False):
            output = module.restore(low, torch_generator("samples", i, device=module.device))[0, 0].cpu().numpy()  # type: ignore[operator]
        slices = data.slices
        target = np.asarray(slices.normal[i] if slices.truth is None else slices.truth[i])
        error = float(np.square(output - target).mean())
        psnr = -10 * math.log10(max(error, 1e-12))
        self.rows.append([step, psnr])
        picture = np.concatenate([np.asarray(slices.low[i]), output, target], axis=1)
        _write_picture(picture_of(self.folder, step), picture)
        self.live(step, {"val/psnr_db": psnr})
        self._last = time.monotonic() - began
        self.seconds += self._last

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero and self.rows:
            rows = [dict(zip(COLUMNS, row, strict=True)) for row in self.rows]
            write_text(self.folder / "samples.csv", csv_text(rows, COLUMNS))


def _write_picture(path: Path, image: np.ndarray) -> None:
    """A PNG of 8 bit of an image in [0, 1]."""
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    pixels = Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8))
    write_whole(path, lambda file: pixels.save(file, format="PNG"))
