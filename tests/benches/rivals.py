"""What the rivals of purification have to work with: registrations against the known motion, and patches whose masks agree.

Of another phantom, and of real chest CT where ``data.root`` or IPV2_BENCH_CT names some.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage
from skimage.registration import optical_flow_ilk, optical_flow_tvl1

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.prepared import Prepared
from ipv2_bench.data.breathing import Breathing
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.phantom import FIELD_MM
from ipv2_bench.data.sources.virtual_scan import VirtualScan, lung_jobs, series_motion
from ipv2_bench.files import write_json, write_text
from ipv2_bench.physics.seeding import numpy_generator
from ipv2_bench.purification.masks import body_mask
from ipv2_bench.purification.registration import at_full_size, folded_share, registration, warped
from ipv2_bench.purification.strategies.patch_similarity import PatchSimilarity
from ipv2_bench.purification.strategies.registered import Registered

THRESHOLDS = (0.7, 0.8, 0.85, 0.9, 0.95)
LUNG = 0.36
"""Below it, −500 HU of the window, a pixel of the truth in the body is lung."""

Register = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From uLDCT and NDCT [k, k], averaged and smoothed, to the motion [2, k, k] in their pixels."""


def _known_motion(slices: SliceSet, i: int, seed: int) -> np.ndarray:
    """The motion of a slice, [2, N, N] in its pixels."""
    *series, number = slices.key[i].split("-")
    size, mm = slices.size, float(slices.pixel_mm[i])
    if series[0] != "phantom":
        return Breathing().displacement(size, mm, numpy_generator(seed, "-".join(series), int(number), "breathing"))
    drawn_from = numpy_generator(seed, "phantom", int(series[2]), int(number), "breathing")
    fine = Breathing().displacement(2 * size, FIELD_MM / (2 * size), drawn_from)  # it is drawn twice as fine
    return fine.reshape(2, size, 2, size, 2).mean(axis=(2, 4)) / 2


def _itk(image: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(image.astype(np.float32))


def _of_itk(field: sitk.Image) -> np.ndarray:
    vectors = sitk.GetArrayFromImage(field)  # columns, rows
    return np.stack([vectors[..., 1], vectors[..., 0]])


def _b_spline(low: np.ndarray, normal: np.ndarray, spacing: float) -> np.ndarray:
    """Ours, with knots every ``spacing`` pixels."""
    knots = max(2, round(len(low) / spacing))
    return registration(low, normal, len(low), 0.0, (knots, knots))


def _tv_l1(low: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """TV-L1 optical flow; its weight is the best of 5, 15, 30, 60 and 120 on the other phantom."""
    return optical_flow_tvl1(low, normal, attachment=30.0)


def _demons(low: np.ndarray, normal: np.ndarray, deviation: float) -> np.ndarray:
    """Diffeomorphic demons, 200 iterations, the field smoothed by a Gaussian."""
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfIterations(200)
    demons.SetStandardDeviations(deviation)
    return _of_itk(demons.Execute(_itk(low), _itk(normal)))


def _lucas_kanade(low: np.ndarray, normal: np.ndarray, radius: int) -> np.ndarray:
    return optical_flow_ilk(low, normal, radius=radius, gaussian=True)


OURS = Registered()
METHODS: dict[str, Register | None] = {
    "none": None,
    "B-splines, knots every 40 mm (ours)": partial(_b_spline, spacing=OURS.knots_mm / OURS.grid_mm),
    "B-splines, knots every 80 mm": partial(_b_spline, spacing=80.0 / OURS.grid_mm),
    "TV-L1 optical flow": _tv_l1,
    "iterative Lucas-Kanade": partial(_lucas_kanade, radius=12),
    "diffeomorphic demons": partial(_demons, deviation=3.0),
}


def _at_grid(image: np.ndarray, k: int) -> np.ndarray:
    averaged = torch.nn.functional.interpolate(torch.from_numpy(image)[None, None], size=(k, k), mode="area")[0, 0]
    return ndimage.gaussian_filter(averaged.numpy(), OURS.smooth)


def _compare(slices: SliceSet, chosen: Sequence[int], seed: int, width: float) -> list[dict[str, float | str]]:
    """Each method's root mean square error against the known motion in mm, and that of the registered NDCT to the truth in HU."""
    k, _ = OURS.grid(slices)
    records = []
    for name, method in METHODS.items():
        began = time.perf_counter()
        motions = {i: _found(method, slices, i, k) for i in chosen}
        seconds = (time.perf_counter() - began) / len(chosen)
        records.append(_record(name, slices, motions, {i: _known_motion(slices, i, seed) for i in chosen}, width, seconds))
    return records


def _found(method: Register | None, slices: SliceSet, i: int, k: int) -> np.ndarray:
    if method is None:
        return np.zeros((2, k, k), np.float32)
    return method(_at_grid(slices.low[i], k), _at_grid(slices.normal[i], k)).astype(np.float32)


def _record(
    name: str, slices: SliceSet, motions: dict[int, np.ndarray], known: dict[int, np.ndarray], width: float, seconds: float
) -> dict[str, float | str]:
    """How far motions within slices, [2, k, k] in pixels of their grid, are from those that are known, [2, N, N] in pixels."""
    assert slices.truth is not None
    squares: dict[str, list[np.ndarray]] = {"body": [], "lung": [], "hu": []}
    for i, motion in motions.items():
        normal, truth = slices.normal[i], slices.truth[i]
        body, mm = body_mask(truth), float(slices.pixel_mm[i])
        off = mm**2 * np.square(at_full_size(motion, slices.size) - known[i]).sum(axis=0)
        squares["body"].append(off[body])
        squares["lung"].append(off[body & (truth < LUNG)])
        squares["hu"].append(np.square(width * (warped(normal, motion) - truth))[body])
    root = {key: float(np.sqrt(np.concatenate(values).mean())) for key, values in squares.items()}
    return {
        "method": name,
        "body mm": round(root["body"], 2),
        "lung mm": round(root["lung"], 2),
        "RMSE to the truth HU": round(root["hu"]),
        "folded %": round(100 * float(np.mean([folded_share(motion) for motion in motions.values()])), 2),
        "s a slice": round(seconds, 2),
    }


EVERY = 4
"""Of how many slices of a series one is measured."""


def _whole_series(config: Config) -> tuple[str, dict]:
    """Slice by slice and as a volume, on series that breathe as a whole."""
    prepared = Prepared.open(config, progress=True, distances=False)
    slices = prepared.slices
    source = VirtualScan(**config.data.options)
    jobs = {key: job for job, _, _, key in lung_jobs(source, progress=False)}
    positions = [jobs[key].position_mm or 0.0 for key in slices.key]
    steps = np.abs(np.diff(positions))[[a == b for a, b in pairwise(slices.stack)]]
    chosen = list(range(0, len(slices), EVERY))

    def motion_of(i: int) -> np.ndarray:
        mm, series = float(slices.pixel_mm[i]), jobs[slices.key[i]].series
        return series_motion(Breathing(), slices.size, mm, positions[i], source.seed, series)

    known = {i: motion_of(i) for i in chosen}
    k, _ = OURS.grid(slices)
    volume = Registered(dimensions=3, slice_mm=float(np.median(steps)))
    records, width = [], prepared.window.width
    for name, motions_of in {
        "none": lambda: {i: _found(None, slices, i, k) for i in chosen},
        "slice by slice": lambda: {i: _found(METHODS["B-splines, knots every 40 mm (ours)"], slices, i, k) for i in chosen},
        "whole series (dimensions=3)": lambda: dict(zip(chosen, volume.motion(slices)[chosen, 1:], strict=True)),
    }.items():
        began = time.perf_counter()
        motions = motions_of()
        divisor = len(slices) if "dimensions" in name else len(chosen)
        records.append(_record(name, slices, motions, known, width, (time.perf_counter() - began) / divisor))
    words = (
        f"## real chest CT, whole series\n\n{len(slices)} slices of {len(set(slices.patient))} patients, "
        f"{np.median(steps):.1f} mm apart, one motion of each patient; every {EVERY}th is measured.\n\n"
    )
    return words + _markdown(records) + "\n", {"registration": records}


def _kept(slices: SliceSet, chosen: Sequence[int]) -> list[dict[str, float | str]]:
    """The share of patches of 64 pixels whose masks agree, by threshold."""
    return [
        {"threshold": t, "kept %": round(100 * float(PatchSimilarity(threshold=t).usable(slices)[list(chosen)].mean()), 1)}
        for t in THRESHOLDS
    ]


def _markdown(records: Sequence[dict[str, float | str]]) -> str:
    head = list(records[0])
    rows = [head, ["---"] * len(head), *([str(r[c]) for c in head] for r in records)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _part(title: str, config: Config, most: int) -> tuple[str, dict]:
    prepared = Prepared.open(config, progress=True, distances=False)
    slices = prepared.slices
    chosen = np.linspace(0, len(slices) - 1, most).round().astype(int).tolist()
    methods = _compare(slices, chosen, int(config.data.options.get("seed", 0)), prepared.window.width)
    patches = _kept(slices, chosen)
    words = f"## {title}\n\n{len(chosen)} slices at {slices.size}×{slices.size}.\n\n"
    return words + _markdown(methods) + "\n\n" + _markdown(patches) + "\n", {"registration": methods, "patches": patches}


def main() -> None:
    """Write both tables for the phantom, and for real CT where there is some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=24, help="slices of each source (default: %(default)s)")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="of native: data.root=CT")
    given = parser.parse_args()
    settings = [s for s in given.settings if s.startswith("run.")]
    parts = {"another phantom": load_config("rivals", ["data.seed=100", "noise.calibrate=false", *settings])}
    if os.environ.get("IPV2_BENCH_CT") or any(s.startswith("data.root=") for s in given.settings):
        parts["real chest CT"] = load_config("native", ["noise.calibrate=false", *given.settings])
    written = {title: _part(title, config, given.most) for title, config in parts.items()}
    if "real chest CT" in parts:
        whole = ["noise.calibrate=false", "data.breathe_by=series", "data.slices_per_patient=0"]
        written["real chest CT, whole series"] = _whole_series(load_config("native", [*whole, *given.settings]))
    folder = Path(__file__).parents[2] / "leaderboards" / "performance"
    intro = (
        "# What the rivals of purification have to work with\n\n"
        "Registrations of the NDCT to the uLDCT at 2 % dose, both averaged to pixels of about 3 mm and smoothed, against the "
        "known motion: root mean square of the error within the body and the lung, and of the registered NDCT against the "
        "aligned truth. Below each, the share of patches of 64×64 pixels that `patch_similarity` keeps. By `make bench-rivals`, "
        "on one thread.\n\n"
    )
    write_text(folder / "rivals.md", intro + "\n".join(text for text, _ in written.values()))
    write_json(folder / "rivals.json", {title: record for title, (_, record) in written.items()})


if __name__ == "__main__":
    main()
