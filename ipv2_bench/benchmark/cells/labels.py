"""Image sets that stand for the test slices: denoised ones, and the labels among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.measuring import measure_test_set
from ipv2_bench.benchmark.prepared import Prepared, shared_versions
from ipv2_bench.fingerprint import digest, settings_of
from ipv2_bench.metrics.catalogue import Catalogue
from ipv2_bench.metrics.image_set import Measurements
from ipv2_bench.purification.strategy import Strategy
from ipv2_bench.stored import present, read_array, write_array

VERSION = 1
"""Version of the labels: raise when the same strategy and weak denoiser give other labels."""


@dataclass(frozen=True)
class ImageSet:
    """Images that stand for the test slices.

    Attributes
    ----------
    set_id
        Hash of what determines them.
    path
        File of the images, [n, N, N] float32 in [0, 1].
    measures_path
        File of their measurements.
    catalogue
        The measures.
    """

    set_id: str
    path: Path
    measures_path: Path
    catalogue: Catalogue

    @property
    def images(self) -> np.ndarray:
        """The images, memory-mapped."""
        return read_array(self.path, mapped=True)

    @property
    def measurements(self) -> Measurements:
        """What was measured of them."""
        return Measurements.load(self.measures_path, self.catalogue)


def label_images(prepared: Prepared, strategy: Strategy | None, weak: CellSpec | None) -> ImageSet:
    """Label images of the test slices, computed and measured once.

    Parameters
    ----------
    prepared
        The data.
    strategy
        Of the purified NDCT; ``None`` for the NDCT itself.
    weak
        Complete cell of the weak denoiser, for strategies with module 3.
    """
    # The training slices standardise the offline feature space of the label's measurements.
    identity: dict[str, Any] = {
        "manifest": prepared.slices.manifest,
        "window": settings_of(prepared.window),
        "split": [prepared.split.train.tolist(), prepared.split.test.tolist()],
        "strategy": None if strategy is None else settings_of(strategy),
        "weak": None if weak is None else weak.cell_id,
        "versions": {**shared_versions(), "labels": VERSION},
    }
    set_id = digest(identity)
    path = prepared.config.work / "labels" / f"{set_id}.npy"
    measures_path = path.with_name(f"{set_id}-{prepared.measuring_version}.npz")
    if not (present(path) and present(measures_path)):
        images = _label(prepared, strategy, weak)
        write_array(path, images)
        measure_test_set(prepared.measuring, prepared.slices, prepared.split, images).save(measures_path)
    return ImageSet(set_id, path, measures_path, prepared.catalogue)


def _label(prepared: Prepared, strategy: Strategy | None, weak: CellSpec | None) -> np.ndarray:
    slices, test = prepared.slices, prepared.split.test
    normal = np.array(slices.normal[test])
    if strategy is None:
        return normal
    import torch

    from ipv2_bench.data.pair import Pair

    mask = strategy.label_masks(slices)[test].astype(np.float32) / 255.0
    low, n, m = (torch.from_numpy(np.array(a))[:, None] for a in (slices.low[test], normal, mask))
    pair = Pair(low, n, m, torch.from_numpy(slices.pixel_mm[test]), torch.from_numpy(test))
    if weak is None:
        return strategy.test_label(pair)[:, 0].numpy()
    # The weak denoiser's cell has denoised these very slices.
    restored = torch.from_numpy(read_array(weak.images_path))[:, None]
    return strategy.test_label(pair, remove_noise=lambda _: restored)[:, 0].numpy()
