"""A folder of slices denoised into another: PNG and DICOM, slice by slice, in bounded memory."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydicom import dcmread

from ipv2_bench import registry
from ipv2_bench.benchmark.out_folder import claim
from ipv2_bench.data.dicom import count, dicom_files
from ipv2_bench.data.dicom_file import CTSlice, read_bytes, read_slice
from ipv2_bench.data.dicom_out import derive, write_dicom
from ipv2_bench.data.dicom_pixels import Unusable, decode_stored, padding
from ipv2_bench.data.dicom_tags import quiet_pydicom, rescale, rescale_findings
from ipv2_bench.data.findings import Finding, Findings
from ipv2_bench.data.png import BadPng, read_png, write_png
from ipv2_bench.data.series import positions
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.checkpoint import load_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import AIR_HU, Window
from ipv2_bench.physics.seeding import torch_generator

NO_DEVICE = "not a medical device: for research only, never for diagnosis"


@dataclass
class Summary:
    """What became of a folder: slices written and found there, files left out by reason, what went wrong, and the time."""

    written: int = 0
    there: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def text(self, out: Path) -> str:
        """What happened, in words."""
        speed = f" at {self.written / self.seconds:.3g} slices per second" if self.written and self.seconds else ""
        lines = [f"{self.written} slices denoised{speed}, {self.there} were there: {out}"]
        if self.left_out:
            lines.append(f"left out: {count(self.left_out)}")
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True)
class Model:
    """A denoiser with the HU window of its images, a title, the size that it was trained at (0: unknown), and a hash."""

    denoiser: Denoiser
    window: Window
    title: str
    size: int
    sha256: str


def load_model(checkpoint: str, outside: Collection[str] = ()) -> Model:
    """The denoiser of a file of ``ipv2-bench train``, or by name one that needs no training, such as ``nl_means``.

    A file may ask for a class of another package only where ``outside`` names it.

    Raises
    ------
    InputError
        When the file is unusable or does not tell its HU window, or the named denoiser would have to be trained.
    """
    path = Path(checkpoint)
    if not path.suffix and not path.exists():
        cls = registry.find("ipv2_bench.denoisers", checkpoint, Denoiser)  # type: ignore[type-abstract]
        untrained = cls()
        if any(True for _ in untrained.parameters()):
            raise InputError(f"denoiser {checkpoint} has to be trained: give --checkpoint a file of ipv2-bench train")
        return Model(
            untrained.eval(), Window(), cls.title or cls.__name__, 0, hashlib.sha256(checkpoint.encode()).hexdigest()
        )
    denoiser, notes = load_denoiser(path, outside)
    try:
        low, high = map(float, notes["window_hu"].split())
        window, size = Window(low, high), int(notes.get("size", 0))
    except (KeyError, ValueError):
        raise InputError(
            f"the checkpoint {path.name} does not tell its HU window: use one of ipv2-bench train"
        ) from None
    title = " + ".join(x for x in (notes.get("title", type(denoiser).__name__), notes.get("strategy")) if x)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Model(denoiser, window, title, size, sha256)


def denoise_tree(source: Path, out: Path, model: Model, batch: int = 2, progress: bool = True) -> Summary:
    """Denoise every slice below a folder into the same tree elsewhere.

    PNG slices are taken to be in the model's HU window and come out with the bits that they had. DICOM slices get what the
    denoiser changed in the window added to their HU, so that what lies outside of the window is kept; see
    :func:`~ipv2_bench.data.dicom_out.derive` for their tags. What has been written is not done again.

    Parameters
    ----------
    source, out
        Folders; neither in the other.
    model
        See :func:`load_model`.
    batch
        Slices at once; with the size of a slice it bounds the memory.
    progress
        Show a bar.

    Raises
    ------
    InputError
        When there is nothing to denoise, or ``out`` holds something else.
    """
    from tqdm import tqdm

    if not source.is_dir():
        raise InputError(f"the folder {source} is not there: name a folder of PNG or DICOM slices")
    if batch < 1:
        raise InputError(f"--batch is {batch}: expected at least 1")
    found, summary = Findings(), Summary()
    context = model.denoiser.context
    stacks = [*_png_stacks(source), *_dicom_stacks(source, found, summary.left_out, context > 1)]
    if context > 1 and any(stack[0].name.endswith(".png") for stack in stacks):
        raise InputError(
            f"{model.title} sees {context} neighbouring slices, and PNG files do not tell their order: use DICOM"
        )
    total = sum(map(len, stacks))
    if not total and not found.list():
        raise InputError(f"no slice under {source}: expected PNG files, or DICOM files of CT")
    claim(out, [source], "denoise", {"checkpoint": model.sha256})
    work = _Work(source, out, model, torch.device("cuda" if torch.cuda.is_available() else "cpu"), found, summary)
    begun = time.perf_counter()
    with tqdm(total=total, desc="denoising", unit="slice", disable=not progress) as bar, quiet_pydicom():
        for stack in stacks:
            for places in _batches(stack, out, batch, bar, summary):
                work.denoise(stack, places)
                bar.update(len(places))
    if model.size and work.sizes - {model.size}:
        summary.notes.append(
            f"trained at {model.size}×{model.size}, used at {', '.join(f'{s}×{s}' for s in sorted(work.sizes))}: grain and "
            "sharpness may not be those of its table"
        )
    summary.seconds, summary.findings = time.perf_counter() - begun, found.list()
    return summary


@dataclass(frozen=True)
class _Loaded:
    """A slice in memory: [H, W] in [0, 1], and what it takes to write it back."""

    unit: np.ndarray
    bits: int
    data: Any
    stored: np.ndarray | None


@dataclass(frozen=True)
class _File:
    name: str
    dicom: bool


def _png_stacks(source: Path) -> Iterator[list[_File]]:
    folders: dict[Path, list[_File]] = defaultdict(list)
    for path in sorted(source.rglob("*.png")):
        if path.is_file():
            folders[path.parent].append(_File(path.relative_to(source).as_posix(), False))
    yield from folders.values()


def _dicom_stacks(source: Path, found: Findings, left_out: Counter[str], in_order: bool) -> Iterator[list[_File]]:
    """Series, their slices from below; where that is not told, and not needed, as they are called."""
    groups: dict[tuple[str, str], list[CTSlice]] = defaultdict(list)
    with quiet_pydicom():
        for name in dicom_files(source, found):
            part = read_slice(source / name, name, found, left_out, derived=True, pixels=False)
            if part is not None:
                groups[Path(name).parent.as_posix(), part.uid].append(part)
    for slices in groups.values():
        where, wrong = positions(slices)
        if in_order and wrong:
            for finding in wrong:
                found.add(*finding)
            continue
        order = range(len(slices)) if where is None else np.argsort(where, kind="stable").tolist()
        yield [_File(slices[i].name, True) for i in order]


def _batches(stack: list[_File], out: Path, batch: int, bar: Any, summary: Summary) -> Iterator[list[int]]:
    """Places in the stack that are still to be done, some at a time."""
    waiting: list[int] = []
    for i, file in enumerate(stack):
        if (out / file.name).exists():
            summary.there += 1
            bar.update()
            continue
        waiting.append(i)
        if len(waiting) == batch:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


@dataclass
class _Work:
    """Where slices come from and go to, what denoises them, and what became of them; ``sizes`` are theirs in pixels."""

    source: Path
    out: Path
    model: Model
    device: torch.device
    found: Findings
    summary: Summary
    sizes: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.model.denoiser.to(self.device)

    def denoise(self, stack: list[_File], places: list[int]) -> None:
        """Denoise some slices of a stack and write them; one that cannot be used is a finding."""
        reach = self.model.denoiser.context // 2
        loaded: dict[int, _Loaded] = {}
        for i in sorted({j for p in places for j in range(p - reach, p + reach + 1) if 0 <= j < len(stack)}):
            try:
                loaded[i] = _load(self.source / stack[i].name, stack[i].dicom, self.model.window)
            except (Unusable, BadPng) as bad:
                if i in places:
                    self.found.add(stack[i].name, bad.args[0], bad.args[1])
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for p in places:
            if p in loaded:
                by_shape[loaded[p].unit.shape].append(p)
        for shape, same in by_shape.items():
            self.sizes.add(max(shape))

            def near(p: int, d: int, shape: tuple[int, ...] = shape) -> np.ndarray:
                other = loaded.get(p + d)
                return other.unit if other is not None and other.unit.shape == shape else loaded[p].unit

            low = np.stack([[near(p, d) for d in range(-reach, reach + 1)] for p in same])
            generator = torch_generator(0, "denoise", same[0], device=self.device)
            restored = self.model.denoiser.restore(torch.from_numpy(low).to(self.device), generator)
            for p, made in zip(same, restored[:, 0].float().cpu().numpy(), strict=True):
                self._write(self.out / stack[p].name, loaded[p], made)

    def _write(self, path: Path, one: _Loaded, made: np.ndarray) -> None:
        if one.stored is None:
            write_png(path, made, one.bits)
        else:
            change = (made - one.unit) * self.model.window.width
            write_dicom(path, derive(one.data, one.stored, change, self.model.title, self.model.sha256))
        self.summary.written += 1


def _load(path: Path, dicom: bool, window: Window) -> _Loaded:
    if not dicom:
        png = read_png(path)
        return _Loaded(png.unit, png.bits, None, None)
    read_bytes(path)  # refuses what is too large to be read
    try:
        data = dcmread(path)
    except Exception as error:  # damaged since its header was read
        raise Unusable(
            "unreadable", f"cannot be read ({type(error).__name__}); expected a complete DICOM file"
        ) from None
    stored = decode_stored(data)
    for finding in rescale_findings(data):
        raise Unusable(*finding)
    slope, intercept = rescale(data)
    hu = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if not np.isfinite(hu).all() or slope == 0:
        raise Unusable("NaN", "NaN or infinite HU after rescale; expected finite HU; check the rescale tags")
    hu[padding(data, stored)] = AIR_HU
    return _Loaded(window.unit(hu), 16, data, stored)
