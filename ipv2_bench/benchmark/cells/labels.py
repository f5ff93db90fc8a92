"""Image sets that stand for the test slices, and the labels among them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cell import CellSpec
from ipv2_bench.benchmark.measuring import test_measures
from ipv2_bench.benchmark.plan import Prepared
from ipv2_bench.benchmark.provenance import measuring_code
from ipv2_bench.data.slices import write_whole
from ipv2_bench.fingerprint import code, digest
from ipv2_bench.metrics.measure import Measures
from ipv2_bench.purification import Strategy


@dataclass(frozen=True)
class ImageSet:
    """Images that stand for the test slices: denoised ones, or labels.

    Attributes
    ----------
    set_id
        Hash of what determines them.
    path
        Where they lie, [n, N, N] float32 in [0, 1].
    measures_path
        Where their measures lie.
    """

    set_id: str
    path: Path
    measures_path: Path

    @property
    def images(self) -> np.ndarray:
        """The images, memory-mapped."""
        return np.load(self.path, mmap_mode="r", allow_pickle=False)

    @property
    def measures(self) -> Measures:
        """Their measures."""
        return Measures.load(self.measures_path)


def label_images(ready: Prepared, strategy: Strategy | None, weak: CellSpec | None) -> ImageSet:
    """Label images of the test slices, made and measured once.

    Parameters
    ----------
    ready
        The benchmark.
    strategy
        Of the purified NDCT; ``None`` for the NDCT itself.
    weak
        Complete cell of the weak denoiser, for strategies with module 3.
    """
    # The training slices standardise the offline feature space of the label's measures.
    parts = [ready.split.train.tolist(), ready.split.test.tolist()]
    identity: list[Any] = [ready.slices.manifest, parts, code("purification", "benchmark/labels.py")]
    if strategy is not None:
        identity.append(asdict(strategy))
    if weak is not None:
        identity.append(weak.cell_id)
    set_id = digest(identity)
    path = ready.work / "labels" / f"{set_id}.npy"
    measures_path = path.with_name(f"{set_id}-{measuring_code()}.npz")
    if not measures_path.exists():
        images = _make(ready, strategy, weak)
        write_whole(path, lambda file: np.save(file, images))
        test_measures(ready.slices, ready.split, ready.window, images).save(measures_path)
    return ImageSet(set_id, path, measures_path)


def _make(ready: Prepared, strategy: Strategy | None, weak: CellSpec | None) -> np.ndarray:
    import torch

    from ipv2_bench.data.pair import Pair

    slices, test = ready.slices, ready.split.test
    normal = np.array(slices.normal[test])
    if strategy is None:
        return normal
    mask = strategy.label_masks(slices)[test].astype(np.float32) / 255.0
    low, n, m = (torch.from_numpy(np.array(a))[:, None] for a in (slices.low[test], normal, mask))
    pair = Pair(low, n, m, torch.from_numpy(slices.pixel_mm[test]), torch.from_numpy(test))
    if weak is None:
        return strategy.test_label(pair)[:, 0].numpy()
    # The weak denoiser's cell has denoised these very slices.
    restored = torch.from_numpy(np.load(weak.folder / "denoised.npy", allow_pickle=False))[:, None]
    return strategy.test_label(pair, remove_noise=lambda _: restored)[:, 0].numpy()
