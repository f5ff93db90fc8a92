"""Share of a training step that purification needs."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipv2_bench.benchmark.cells.denoisers import choose
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.module_2 import module_2
from ipv2_bench.benchmark.prepared import Slices
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import Strategy


def share_of_training(path: Path, batches: int = 30) -> dict[str, Any]:
    """Share of purification in a training step of FM under IPv2, on the phantom, with one thread on a CPU.

    Sizes and options are those of the configuration; its slices are drawn for a few patients only.
    """
    config = load_config(path, ["data.source=phantom", "data.patients=3", "data.levels=8", "data.split=patient"])
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(threads if cuda else 1)
    try:
        with tempfile.TemporaryDirectory() as work:
            run = config.run.model_copy(update={"work": work})
            data_settings = config.data.model_copy(update={"fractions": (0.4, 0.2, 0.4)})
            config = config.model_copy(update={"run": run, "data": data_settings})
            opened = Slices.open(config, progress=False)
            denoiser = choose(config, "fm").build(0).to(device)
            strategy, noise = Strategy.from_name("IPv2"), module_2(config, opened.window)
            data = PairedCTDataModule(opened.slices, opened.split, strategy, noise, config.train.batch_size)
            data.setup("fit")
            if cuda:
                data.integrals = None
            optimiser = torch.optim.Adam(denoiser.parameters(), 1e-4)
            purifying, stepping = [], []
            for i in range(batches + 3):
                start = _now(device)  # before the batch: reading what purification needs from disk counts
                batch = next(iter(data.train_dataloader()))
                batch = type(batch)(*(x.to(device) for x in batch))
                pair = data.purify(batch, i)
                purified = _now(device)
                optimiser.zero_grad()
                denoiser.loss(pair, torch_generator(i, device=device)).backward()
                optimiser.step()
                purifying.append(purified - start)
                stepping.append(_now(device) - start)
    finally:
        torch.set_num_threads(threads)
    purify, step = float(np.median(purifying[3:])), float(np.median(stepping[3:]))
    return {
        "configuration": path.name,
        "device": torch.cuda.get_device_name() if cuda else "cpu, one thread",
        "purify_ms": round(purify * 1e3, 2),
        "step_ms": round(step * 1e3, 2),
        "share": round(purify / step, 4),
    }


def _now(device: torch.device) -> float:
    """Seconds of the clock when all work on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
