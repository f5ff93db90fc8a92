"""Can a nodule still be found? Every denoiser of the tables on slices with and without known nodules, read by model observers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ipv2_bench import metrics, registry
from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.prepared import SOURCES
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tables import UNTOUCHED, load_tables
from ipv2_bench.benchmark.views.html.page import try_page
from ipv2_bench.benchmark.views.html.sections.detection import FILES, OBSERVERS
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.data.hu_images import HuImages
from ipv2_bench.data.second_scan import SecondScan
from ipv2_bench.data.source import Source
from ipv2_bench.errors import InputError
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.fingerprint import digest
from ipv2_bench.metrics.observers import Scores, auc, detectability, hotelling_scores, laguerre_gauss, matched_scores
from ipv2_bench.metrics.signals import KINDS, SIZES_MM, Signal, draw_signals, put_in, region
from ipv2_bench.metrics.uncertainty import draw_slices, interval
from ipv2_bench.physics.intensity import at_kilovolt
from ipv2_bench.physics.seeding import numpy_generator, torch_generator
from ipv2_bench.progress import track
from ipv2_bench.stored import present, read_object, write_object

VERSION = 1
"""Raise when the same cells are read otherwise."""

REGION_MM = 24.0
"""Side of the region around a nodule that an observer sees."""

REPLICATES = 400
"""Bootstrap draws of patients."""

Line = dict[str, "str | float | None"]
"""What observers find in the images of one cell: d′, AUC and its ends, which are ``None`` where draws show no spread."""


@dataclass(frozen=True)
class Reading:
    """One noise realisation: uLDCT of the test slices without and with nodules, [n, N, N] in [0, 1]."""

    absent: np.ndarray
    present: np.ndarray


class _Rescanned:
    """Images of a slice set of which some are replaced; neighbours of a slice that is not replaced are what they were."""

    def __init__(self, images: HuImages, index: np.ndarray, own: np.ndarray) -> None:
        self.images, self.own, self.shape = images, dict(zip(index.tolist(), own, strict=True)), images.shape

    def __getitem__(self, index: Sequence[int]) -> np.ndarray:
        return np.stack([self.own[i] if i in self.own else self.images[i] for i in index])


@dataclass(frozen=True)
class Task:
    """What is to be found: the nodules of each test slice, and the scans."""

    kind: str
    signals: tuple[tuple[Signal, ...], ...]
    readings: tuple[Reading, ...]
    side: int

    def regions(self, images: Sequence[np.ndarray], diameter: float) -> np.ndarray:
        """Regions around all nodules of a size in the images of the test slices, reading after reading, [n, side, side]."""
        found = [
            region(image, s, self.side)
            for of_reading in images
            for image, signals in zip(of_reading, self.signals, strict=True)
            for s in signals
            if s.diameter_mm == diameter
        ]
        return np.stack(found)

    def groups(self, patients: Sequence[str], diameter: float) -> np.ndarray:
        """Patient of each region of :meth:`regions`."""
        one = [p for p, signals in zip(patients, self.signals, strict=True) for s in signals if s.diameter_mm == diameter]
        return np.array(one * len(self.readings))


def detect(config: Config, kind: str = "ground_glass", readings: int = 2, progress: bool = True) -> str:
    """Measure how well nodules of known size and place are detected after each denoiser of a configuration's tables.

    Nodules of 4, 6, 8 and 10 mm are put into the aligned truth of every test slice, which is scanned as the uLDCT was, with and
    without them and with noise of their own; the trained denoisers, which have never seen them, denoise both. ``detection.csv``
    and ``detection.md`` (``detection_solid``) hold d′ and the area under the ROC curve for each size and observer, and the page
    shows them. What was read of a cell is kept in its folder, so that the command goes on where it was stopped.

    Parameters
    ----------
    config
        Of a benchmark that ``reproduce`` has completed, on data whose truth is known.
    kind
        ``ground_glass`` (−650 to −450 HU) or ``solid`` (−50 to 50 HU).
    readings
        Noise realisations of each slice.
    progress
        Show progress.

    Returns
    -------
    str
        A Markdown table.

    Raises
    ------
    InputError
        When the truth is not known, the source does not scan, a cell is not complete, or patients are fewer than three.
    """
    if kind not in KINDS:
        raise InputError(f"--kind is '{kind}': {registry.suggestion(kind, KINDS)}use one of {', '.join(KINDS)}")
    if readings < 1:
        raise InputError(f"--readings is {readings}: expected at least 1")
    benchmark = Benchmark.open(config, load_tables(config), progress)
    benchmark.prepared.need_truth()
    cells = [s for s in benchmark.cells.values() if s.denoiser.key != UNTOUCHED]
    benchmark.require_complete(cells)
    patients = benchmark.prepared.test_patients
    if len(set(patients)) < 3:
        raise InputError(f"{len(set(patients))} test patients: observers are trained on others than they read, and need 3")
    task = _task(benchmark, kind, readings, progress)
    window = benchmark.prepared.window
    scans = [[window.hu(getattr(r, side)) for r in task.readings] for side in ("absent", "present")]
    lines: list[Line] = [{"images": "uLDCT", "seed": "", "cell": "", **_found(task, patients, *scans)}]
    for spec in track(cells, "cells", unit="cell", enabled=progress):
        path = spec.folder / f"detection-{digest([VERSION, metrics.VERSION, kind, readings])}.json"
        if not present(path):
            own = [[window.hu(_denoised(spec, getattr(r, side))) for r in task.readings] for side in ("absent", "present")]
            write_object(path, _found(task, patients, *own))
        name = f"{spec.denoiser.title} + {spec.training_name}"
        lines.append({"images": name, "seed": str(spec.seed), "cell": spec.cell_id, **read_object(path)})
    text = _written(config, task, lines)
    try_page(benchmark, Rows(benchmark).of_tables(), config.out)
    return text


def _task(benchmark: Benchmark, kind: str, readings: int, progress: bool) -> Task:
    """Draw the nodules of every test slice and scan it with and without them."""
    import torch

    from ipv2_bench.physics.scanner import scan_noise

    prepared, config = benchmark.prepared, benchmark.config
    source_class = registry.find(SOURCES, config.data.source, Source)  # type: ignore[type-abstract]
    source: Any = registry.build(source_class, Source, config.data.options, f"data source {config.data.source}")
    scanner = getattr(source, "scanner", None)
    if not isinstance(scanner, SecondScan):
        raise InputError(f"data.source {config.data.source} scans nothing: use phantom or virtual_scan")
    slices, test, window = prepared.slices, prepared.split.test, prepared.window
    assert slices.truth is not None
    signals: list[tuple[Signal, ...]] = []
    lows = np.empty((readings, 2, len(test), slices.size, slices.size), np.float32)
    for place, i in enumerate(track(list(test), "scans", unit="slice", enabled=progress)):
        truth, mm = slices.truth.hu(int(i)).astype(np.float64), float(slices.pixel_mm[i])
        own = tuple(draw_signals(truth, window, mm, kind, numpy_generator("nodules", kind, slices.key[i])))
        signals.append(own)
        for reading in range(readings):
            for with_signal, anatomy in enumerate((truth, put_in(truth, mm, own))):
                seen = at_kilovolt(torch.from_numpy(anatomy)[None], scanner.low_dose.kilovolt)
                draws = [torch_generator("detection", slices.key[i], reading, with_signal)]
                low = seen + scan_noise(seen, torch.tensor([mm], dtype=torch.float64), scanner.low_dose, draws)
                lows[reading, with_signal, place] = window.unit(low[0].numpy().astype(np.float32))
    if not any(signals):
        raise InputError("no test slice has room for a nodule in its lung: use slices that show more lung")
    side = 2 * round(REGION_MM / 2 / prepared.pixel_mm) + 1
    return Task(kind, tuple(signals), tuple(Reading(*pair) for pair in lows), side)


def _denoised(spec: CellSpec, low: np.ndarray) -> np.ndarray:
    """The test slices of a cell out of other uLDCT of them, denoised as its own were, [n, N, N] both."""
    from ipv2_bench.benchmark.cells.denoise import denoise_test_set
    from ipv2_bench.benchmark.cells.training.train import train

    images, rescanned = np.empty_like(low), _Rescanned(spec.slices.low, spec.split.test, low)
    for training in spec.trainings:
        other = training.model_copy(update={"slices": replace(training.slices, low=rescanned)})  # type: ignore[arg-type]
        denoiser = train(training, lambda *_: None)  # its weights are complete: they are read
        places = np.searchsorted(spec.split.test, training.split.test)
        images[places] = denoise_test_set(other, denoiser, lambda *_: None).images
    return images


def _found(task: Task, patients: Sequence[str], without: Sequence[np.ndarray], having: Sequence[np.ndarray]) -> Line:
    """d′ and AUC of every size and observer, with the interval over patients, in images in HU, [n, N, N] of each reading."""
    line: Line = {}
    for diameter in SIZES_MM:
        groups = task.groups(patients, diameter)
        if len(set(groups)) < 3:
            continue
        regions_without, regions_with = task.regions(without, diameter), task.regions(having, diameter)
        channels = laguerre_gauss(task.side, max(2.0, 2 / 3 * diameter * task.side / REGION_MM))
        both: Mapping[str, Scores] = {
            "LG-CHO": hotelling_scores(regions_without, regions_with, channels, (groups, groups)),
            "NPW": matched_scores(regions_without, regions_with, (groups, groups)),
        }
        for observer, scores in both.items():
            found, (low, high) = detectability(scores), _interval(scores, groups)
            key = f"{observer} {diameter:g} mm"
            ends = (low, high) if np.isfinite(low + high) else (None, None)
            line |= {f"{key} d'": found.d_prime, f"{key} AUC": found.auc, f"{key} AUC low": ends[0], f"{key} AUC high": ends[1]}
        line[f"{diameter:g} mm n"] = len(groups)
    return line


def _interval(scores: Scores, groups: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the AUC over patients, a patient with all of its nodules, as those of the tables.

    On Fisher's scale of 2·AUC − 1, which is between −1 and 1; NaN where all draws are the same.
    """
    draws = draw_slices(groups.tolist(), REPLICATES)
    chosen = [np.repeat(np.arange(len(groups)), counts.astype(int)) for counts in draws.counts]
    values = np.array([2 * auc((scores[0][own], scores[1][own])) - 1 for own in chosen])
    found = interval([2 * auc(scores) - 1], values[None], draws.sample, scale="fisher")
    low, high = ((1 + end) / 2 for end in (found.low, found.high))
    # Where a draw is perfect the scale is the identity, whose ends may lie beyond what an area can be.
    return max(low, 0.0), min(high, 1.0)


def _written(config: Config, task: Task, lines: list[Line]) -> str:
    """Write both files; the Markdown."""
    shown = []
    for line in lines:
        texts = {"images": str(line["images"]) + (f", seed {line['seed']}" if len(config.seeds) > 1 and line["seed"] else "")}
        for observer in OBSERVERS:
            for diameter in SIZES_MM:
                key = f"{observer} {diameter:g} mm"
                if f"{key} AUC" in line:
                    low, high = line[f"{key} AUC low"], line[f"{key} AUC high"]
                    texts[key] = f"{line[f'{key} AUC']:.2f}" + ("" if low is None else f" [{low:.2f}, {high:.2f}]")
        shown.append(texts)
    counts = ", ".join(f"{d:g} mm: {lines[0][f'{d:g} mm n']}" for d in SIZES_MM if f"{d:g} mm n" in lines[0])
    low, high = KINDS[task.kind]
    heading = (
        f"## Nodules that are found\n\nArea under the ROC curve (chance: 0.5) for {task.kind.replace('_', '-')} nodules of "
        f"{low:g} to {high:g} HU at a known place, with the 95 % interval over patients. Regions with and without, each "
        f"({counts}); every region is read by an observer that was trained on other patients. LG-CHO: channelised Hotelling "
        "observer with Laguerre–Gauss channels; NPW: non-prewhitening matched filter.\n\n"
    )
    text = heading + render("plain_table.md.j2", columns={name: name for name in shown[0]}, rows=shown)
    path = config.out / FILES[task.kind]
    write_text(path, csv_text(lines, digits=5))
    write_text(path.with_suffix(".md"), text)
    return text
