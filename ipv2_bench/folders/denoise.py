"""A folder of slices denoised into another: PNG and DICOM, slice by slice, in bounded memory."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ipv2_bench.data.dicom.ct_slice import CTSlice, read_slice
from ipv2_bench.data.dicom.output import derive
from ipv2_bench.data.dicom.pixels import StoredBits, decode_words, padding
from ipv2_bench.data.dicom.reading import open_dicom, read_bytes
from ipv2_bench.data.dicom.series import grouped, positions
from ipv2_bench.data.dicom.tags import numbers, quiet_pydicom, rescale, rescale_findings
from ipv2_bench.data.findings import Finding, Findings, LeftOut, Unusable
from ipv2_bench.data.formats.listing import files_below
from ipv2_bench.data.formats.png import read_png, write_png
from ipv2_bench.errors import InputError
from ipv2_bench.files import prepare_output, sha256_of, write_whole
from ipv2_bench.folders.model import Model
from ipv2_bench.folders.training_range import Seen
from ipv2_bench.physics.intensity import AIR_HU, Window
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.progress import Counted


@dataclass
class Summary:
    """The result for a folder.

    Attributes
    ----------
    written, present
        Slices written, and those that had been written before.
    left_out
        Files that are no slices, by reason.
    findings
        What is wrong with files.
    seconds
        Time of denoising.
    notes
        What else a user should know.
    """

    written: int = 0
    present: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def text(self, out: Path) -> str:
        """The result in words."""
        speed = f" at {self.written / self.seconds:.3g} slices per second" if self.written and self.seconds else ""
        lines = [f"{self.written} slices denoised{speed}, {self.present} had been before: {out}"]
        if self.left_out:
            lines.append(f"left out: {self.left_out}")
        return "\n".join([*lines, *self.notes])


def denoise_tree(source: Path, out: Path, model: Model, batch: int = 2, progress: bool = True) -> Summary:
    """Denoise every slice below a folder into the same tree elsewhere.

    PNG slices are taken to be in the model's HU window and come out with the bits that they had. DICOM slices get what the
    denoiser changed in the window added to their HU, so that what lies outside of the window is kept; see
    :func:`~ipv2_bench.data.dicom.output.derive` for their tags. What has been written of the same slices is not done again.

    Parameters
    ----------
    source, out
        Folders; neither in the other.
    model
        See :func:`load_model`.
    batch
        Slices at once; with the size of a slice it bounds the memory.
    progress
        Show progress.

    Raises
    ------
    InputError
        When there is nothing to denoise, or ``out`` holds something else, such as the result of other slices.
    """
    if not source.is_dir():
        raise InputError(f"the folder {source} does not exist: name a folder of PNG or DICOM slices")
    if batch < 1:
        raise InputError(f"--batch is {batch}: expected at least 1")
    findings, summary = Findings(), Summary()
    context = model.denoiser.context
    listing = files_below(source, findings, summary.left_out)
    for name in listing.volumes:
        summary.left_out.add("no PNG or DICOM", name)
    stacks = [*_png_stacks(listing.png), *_dicom_stacks(source, listing.dicom, findings, summary.left_out, context > 1)]
    if context > 1 and not all(stack[0].dicom for stack in stacks):
        raise InputError(
            f"{model.title} sees {context} neighbouring slices, and PNG files do not state their order: use DICOM"
        )
    total = sum(map(len, stacks))
    if not total and not findings.list():
        raise InputError(f"no slice under {source}: expected PNG files, or DICOM files of CT")
    what = {"checkpoint": model.sha256, "slices": _contents(source, (file for stack in stacks for file in stack))}
    prepare_output(out, [source], "denoise", what)
    work = _Work(source, out, model, torch.device("cuda" if torch.cuda.is_available() else "cpu"), findings, summary)
    begin = time.perf_counter()
    with Counted("denoising", total, enabled=progress) as counted, quiet_pydicom():
        for stack in stacks:
            for indices in _batches(stack, out, batch, counted, summary):
                work.denoise(stack, indices)
                counted.advance(len(indices))
    if model.size and work.sizes - {model.size}:
        summary.notes.append(
            f"trained at {model.size}×{model.size}, used at {', '.join(f'{s}×{s}' for s in sorted(work.sizes))}: grain and "
            "sharpness may not be those of its table"
        )
    summary.notes += work.seen.notes(model)
    summary.seconds, summary.findings = time.perf_counter() - begin, findings.list()
    return summary


@dataclass(frozen=True)
class _Loaded:
    """A slice in memory: [H, W] in [0, 1], and what is needed to write it."""

    unit: np.ndarray
    bits: int
    raw: bytes = b""
    words: np.ndarray | None = None
    pixel_mm: float | None = None


@dataclass(frozen=True)
class _File:
    name: str
    dicom: bool


def _png_stacks(names: Iterable[str]) -> Iterator[list[_File]]:
    folders: dict[str, list[_File]] = defaultdict(list)
    for name in names:
        folders[name.rpartition("/")[0]].append(_File(name, False))
    yield from folders.values()


def _contents(source: Path, files: Iterable[_File]) -> dict[str, str | None]:
    """SHA-256 of each file by its name; ``None`` for one that cannot be opened, which is reported when it is denoised."""

    def content(path: Path) -> str | None:
        try:
            return sha256_of(path)
        except OSError:
            return None

    return {file.name: content(source / file.name) for file in files}


def _dicom_stacks(
    source: Path, names: Iterable[str], findings: Findings, left_out: LeftOut, in_order: bool
) -> Iterator[list[_File]]:
    """Series, their slices from below; where that is not told, and not needed, as they are called."""
    parts: list[CTSlice] = []
    with quiet_pydicom():
        for name in names:
            part = read_slice(source / name, name, findings, left_out, derived=True, pixels=False)
            if part is not None:
                parts.append(part)
    for _, slices in grouped(parts):
        where, wrong = positions(slices)
        if in_order and wrong:
            for finding in wrong:
                findings.add(*finding)
            continue
        order = range(len(slices)) if where is None else np.argsort(where, kind="stable").tolist()
        yield [_File(slices[i].name, True) for i in order]


def _batches(stack: list[_File], out: Path, batch: int, counted: Counted, summary: Summary) -> Iterator[list[int]]:
    """Indices into the stack of slices that are still to be denoised, some at a time."""
    waiting: list[int] = []
    for i, file in enumerate(stack):
        if (out / file.name).exists():
            summary.present += 1
            counted.advance()
            continue
        waiting.append(i)
        if len(waiting) == batch:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


@dataclass
class _Work:
    """Input and output folder, the model and its device, the result so far, the sizes of slices in pixels, and their noise."""

    source: Path
    out: Path
    model: Model
    device: torch.device
    findings: Findings
    summary: Summary
    sizes: set[int] = field(default_factory=set)
    seen: Seen = field(default_factory=Seen)

    def __post_init__(self) -> None:
        self.model.denoiser.to(self.device)

    def denoise(self, stack: list[_File], indices: list[int]) -> None:
        """Denoise some slices of a stack and write them; one that cannot be used is a finding."""
        reach = self.model.denoiser.context // 2
        loaded: dict[int, _Loaded] = {}
        for i in sorted({j for p in indices for j in range(p - reach, p + reach + 1) if 0 <= j < len(stack)}):
            try:
                loaded[i] = _load(self.source / stack[i].name, stack[i].dicom, self.model.window)
            except Unusable as bad:
                if i in indices:
                    self.findings.add(stack[i].name, *bad.problem)
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for p in indices:
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
            for p in same:
                self.seen.look(loaded[p].unit, self.model.window, loaded[p].pixel_mm)
            for p, image in zip(same, restored[:, 0].float().cpu().numpy(), strict=True):
                self._write(self.out / stack[p].name, loaded[p], image)

    def _write(self, path: Path, one: _Loaded, image: np.ndarray) -> None:
        if one.words is None:
            write_png(path, image, one.bits)
        else:
            change = (image - one.unit) * self.model.window.width
            made = derive(one.raw, one.words, change, self.model.title, self.model.sha256)
            write_whole(path, lambda file: file.write(made))
        self.summary.written += 1


def _load(path: Path, dicom: bool, window: Window) -> _Loaded:
    if not dicom:
        png = read_png(path)
        return _Loaded(png.unit, png.bits)
    raw = read_bytes(path)
    try:
        data = open_dicom(raw)
    except Exception as error:  # damaged since its header was read
        raise Unusable(
            "unreadable", f"cannot be read ({type(error).__name__}); expected a complete DICOM file"
        ) from None
    words = decode_words(data)
    stored = StoredBits.of(data, 8 * words.dtype.itemsize).values(words)
    for finding in rescale_findings(data):
        raise Unusable(*finding)
    slope, intercept = rescale(data)
    hu = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if not np.isfinite(hu).all() or slope == 0:
        raise Unusable("NaN", "NaN or infinite HU after rescale; expected finite HU; check the rescale tags")
    hu[padding(data, stored)] = AIR_HU
    spacing = numbers(data, "PixelSpacing", 2)
    return _Loaded(window.unit(hu), 16, raw, words, None if spacing is None else float(spacing[0]))
