"""A folder of slices and volumes denoised into another, slice by slice, in bounded memory."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ipv2_bench.data.dicom.output import derive
from ipv2_bench.data.dicom.pixels import usual_padding
from ipv2_bench.data.dicom.tags import quiet_pydicom
from ipv2_bench.data.findings import Finding, Findings, LeftOut, Unusable
from ipv2_bench.data.formats.listing import files_below
from ipv2_bench.data.formats.png import write_png
from ipv2_bench.data.formats.volumes import read_volume, slices_of
from ipv2_bench.errors import InputError
from ipv2_bench.files import prepare_output, sha256_of, write_whole
from ipv2_bench.folders.model import Model
from ipv2_bench.folders.stacks import LoadedSlice, SliceFile, dicom_stacks, load_slice, png_stacks
from ipv2_bench.folders.training_range import seen_first
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
    """

    written: int = 0
    present: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    def text(self, out: Path) -> str:
        """The result in words."""
        speed = f" at {self.written / self.seconds:.3g} slices per second" if self.written and self.seconds else ""
        lines = [f"{self.written} slices denoised{speed}, {self.present} had been before: {out}"]
        if self.left_out:
            lines.append(f"left out: {self.left_out}")
        return "\n".join(lines)


def denoise_tree(
    source: Path,
    out: Path,
    model: Model,
    batch: int = 2,
    progress: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Denoise every slice and volume below a folder into the same tree elsewhere.

    PNG slices are taken to be in the model's HU window and come out with the bits that they had. DICOM slices get what the
    denoiser changed in the window added to their HU, so that what lies outside of the window is kept; see
    :func:`~ipv2_bench.data.dicom.output.derive` for their elements. Volumes of NIfTI and NumPy are in HU and treated alike. What
    has been written of the same slices is not done again.

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
    tell
        Called before the work with what a user should know: whether some of the slices are like those that the model was trained
        on, in noise, size and pixels.

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
    stacks = [*png_stacks(listing.png), *dicom_stacks(source, listing.dicom, findings, summary.left_out, context > 1)]
    if context > 1 and not all(stack[0].dicom for stack in stacks):
        raise InputError(
            f"{model.title} sees {context} neighbouring slices, and PNG files do not state their order: use DICOM"
        )
    total = sum(map(len, stacks)) + sum(slices_of(source / name) for name in listing.volumes)
    if not total and not findings.list():
        raise InputError(f"no slice under {source}: expected DICOM files of CT, PNG files, or volumes of NIfTI or NumPy")
    names = [*(file.name for stack in stacks for file in stack), *listing.volumes]
    what = {"checkpoint": model.sha256, "slices": _contents(source, names)}
    prepare_output(out, [source], "denoise", what)
    work = _Work(source, out, model, torch.device("cuda" if torch.cuda.is_available() else "cpu"), findings, summary)
    with quiet_pydicom():
        seen = seen_first(source, stacks, listing.volumes, model.window)
    for note in seen.notes(model):
        tell(note)
    begin = time.perf_counter()
    with Counted("denoising", total, enabled=progress) as counted, quiet_pydicom():
        for stack in stacks:
            for indices in _batches(stack, out, batch, counted, summary):
                work.denoise(stack, indices)
                counted.advance(len(indices))
        for name in listing.volumes:
            work.denoise_volume(name, batch, counted)
    summary.seconds, summary.findings = time.perf_counter() - begin, findings.list()
    return summary


def _contents(source: Path, names: Iterable[str]) -> dict[str, str | None]:
    """SHA-256 of each file by its name; ``None`` for one that cannot be opened, which is reported when it is denoised."""

    def content(path: Path) -> str | None:
        try:
            return sha256_of(path)
        except OSError:
            return None

    return {name: content(source / name) for name in names}


def _batches(stack: list[SliceFile], out: Path, batch: int, counted: Counted, summary: Summary) -> Iterator[list[int]]:
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
    """Input and output folder, the model and its device, and the result so far."""

    source: Path
    out: Path
    model: Model
    device: torch.device
    findings: Findings
    summary: Summary

    def __post_init__(self) -> None:
        self.model.denoiser.to(self.device)

    def denoise(self, stack: list[SliceFile], indices: list[int]) -> None:
        """Denoise some slices of a stack and write them; one that cannot be used is a finding."""
        reach = self.model.denoiser.context // 2
        loaded: dict[int, LoadedSlice] = {}
        for i in sorted({j for p in indices for j in range(p - reach, p + reach + 1) if 0 <= j < len(stack)}):
            try:
                loaded[i] = load_slice(self.source / stack[i].name, stack[i].dicom, self.model.window)
            except Unusable as bad:
                if i in indices:
                    self.findings.add(stack[i].name, *bad.problem)
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for p in indices:
            if p in loaded:
                by_shape[loaded[p].unit.shape].append(p)
        for shape, same in by_shape.items():
            def near(p: int, d: int, shape: tuple[int, ...] = shape) -> np.ndarray:
                other = loaded.get(p + d)
                return other.unit if other is not None and other.unit.shape == shape else loaded[p].unit

            low = np.stack([[near(p, d) for d in range(-reach, reach + 1)] for p in same])
            generator = torch_generator(0, "denoise", same[0], device=self.device)
            restored = self.model.denoiser.restore(torch.from_numpy(low).to(self.device), generator)
            for p, image in zip(same, restored[:, 0].float().cpu().numpy(), strict=True):
                self._write(self.out / stack[p].name, loaded[p], image)

    def denoise_volume(self, name: str, batch: int, counted: Counted) -> None:
        """Denoise a volume and write it; one that cannot be used is a finding."""
        if (self.out / name).exists():
            self.summary.present += 1
            counted.advance(slices_of(self.source / name))
            return
        try:
            volume = read_volume(self.source / name)
        except Unusable as bad:
            self.findings.add(name, *bad.problem)
            counted.advance(slices_of(self.source / name))
            return
        window, reach, last = self.model.window, self.model.denoiser.context // 2, len(volume.hu) - 1
        unit = window.unit(volume.hu)
        change = np.zeros_like(unit)
        for start in range(0, len(unit), batch):
            indices = np.arange(start, min(start + batch, len(unit)))
            near = (indices[:, None] + np.arange(-reach, reach + 1)).clip(0, last)
            generator = torch_generator(0, "denoise", start, device=self.device)
            restored = self.model.denoiser.restore(torch.from_numpy(unit[near]).to(self.device), generator)
            change[indices] = (restored[:, 0].float().cpu().numpy() - unit[indices]) * window.width
            counted.advance(len(indices))
        change[usual_padding(volume.hu)] = 0.0
        volume.write(self.out / name, change)
        self.summary.written += len(unit)

    def _write(self, path: Path, one: LoadedSlice, image: np.ndarray) -> None:
        if one.words is None:
            write_png(path, image, one.bits)
        else:
            change = (image - one.unit) * self.model.window.width
            made = derive(one.raw, one.words, change, self.model.title, self.model.sha256)
            write_whole(path, lambda file: file.write(made))
        self.summary.written += 1
