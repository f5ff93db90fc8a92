"""Chest CT series from a folder tree of DICOM files, in Hounsfield units.

Nothing that could name a patient leaves this module: only the tags in ``_TAGS`` are ever parsed, patient number and
study become hashes with a salt that is drawn anew in every run, what pydicom itself would warn or log (it quotes tag
values) is held back, and errors carry relative paths only.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes
from scipy import ndimage
from tqdm import tqdm

from ipv2_bench.data.patients import Belonging, group_patients
from ipv2_bench.errors import refuse

logger = logging.getLogger("ipv2_bench")

AIR_HU = -1000.0
LOWEST_HU = -1024.0
LARGEST_SIDE = 4096
LARGEST_TILT_DEG = 0.5
SAME_POSITION_MM = 0.01
_SALT = os.urandom(16)

# No other tag is parsed, hence no name, date or place ever reaches this program.
_TAGS = """
    SOPClassUID Modality ImageType SeriesInstanceUID NumberOfFrames SamplesPerPixel
    PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation
    PixelPaddingValue PixelPaddingRangeLimit RescaleSlope RescaleIntercept PixelSpacing
    ImagePositionPatient ImageOrientationPatient SliceLocation GantryDetectorTilt PatientID StudyInstanceUID
    PixelData ExtendedOffsetTable ExtendedOffsetTableLengths
"""


@dataclass(frozen=True)
class Series:
    """One CT series, its slices ordered along the slice normal.

    Attributes
    ----------
    folder
        Folder of the series relative to the root, with ``/``; ``"."`` for the root itself. For local use
        only: it may name a patient and must not be written to results.
    hu
        int16 (where slope and intercept are whole numbers) or float32 ``[n, H, W]``, in HU, finite,
        at least -1024; padding is -1000.
    position_mm
        float64 ``[n]``, strictly ascending: position along the slice normal in mm.
    spacing_mm
        Side of the square pixels in mm, > 0.
    key
        8 hex digits of the SHA-256 of ``hu``: a name without identity, the same wherever the files lie.
    patient
        Key of the first series of this patient.
    """

    folder: str
    hu: np.ndarray
    position_mm: np.ndarray
    spacing_mm: float
    key: str
    patient: str


@dataclass(frozen=True)
class _Slice:
    name: str
    uid: str
    patient_id: str
    study: str
    hu: np.ndarray
    spacing: float
    corner: np.ndarray | None
    axes: np.ndarray | None
    location: np.ndarray | None


class _Unusable(Exception):
    """The pixels of a file cannot be used; the text is the finding."""


class _Problems:
    """Findings, of which the same one in many files of a folder becomes a single line."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, name: str, finding: str) -> None:
        self._files[name.rpartition("/")[0], finding].append(name)

    def lines(self) -> list[str]:
        return [
            _shown(names[0]) + (f" (and {len(names) - 1} more here)" if names[1:] else "") + f": {finding}"
            for (_, finding), names in self._files.items()
        ]


def read_tree(root: str | os.PathLike[str], progress: bool = False, patients_by: str = "auto") -> list[Series]:
    """Read every CT series below a folder.

    Files count as DICOM by their marker or by the suffix ``.dcm``; others are ignored, and so are links to
    folders. Localizers and images other than CT are left out, with one warning in the log.

    Parameters
    ----------
    root
        The folder.
    progress
        Show a progress bar over the files on stderr.
    patients_by
        What tells patients apart; see :func:`~ipv2_bench.data.patients.group_patients`.

    Returns
    -------
    list of Series
        At least one, ordered by key, hence the same for any file names and any order on the disk.

    Raises
    ------
    ipv2_bench.errors.InputError
        All that is wrong anywhere in the tree, in one list, with paths relative to ``root``.
    """
    base = Path(root)
    base_name = _shown(base.resolve().name or "the given folder")
    if not base.is_dir():
        found = "is a file" if base.exists() else "does not exist"
        refuse([f"{base_name}: {found}; expected a folder of CT DICOM files; correct the path"], "data set")
    problems = _Problems()
    left_out: Counter[str] = Counter()
    groups: dict[tuple[str, str], list[_Slice]] = defaultdict(list)
    with _quiet_pydicom():
        names = _dicom_files(base, problems)
        for name in tqdm(names, desc="reading CT", unit="file", disable=not progress):
            part = _read_file(base / name, name, problems, left_out)
            if part is not None:
                groups[Path(name).parent.as_posix(), part.uid].append(part)
    if left_out:
        logger.warning("left out of the data set: %s", _count(left_out))
    series: dict[str, Series] = {}
    belonging: dict[str, Belonging] = {}
    for folder, uid in list(groups):
        slices = groups.pop((folder, uid))
        built, findings = _build(folder, slices)
        if built is not None and series.setdefault(built.key, built) is not built:
            twin = _shown(series[built.key].folder)
            findings = [(slices[0].name, f"same series as in {twin}; expected each once; remove one of the two")]
        elif built is not None:
            belonging[built.key] = Belonging(slices[0].patient_id, frozenset(s.study for s in slices if s.study))
        for name, finding in findings:
            problems.add(name, finding)
    lines = problems.lines()
    if not series and not lines:
        found = f"no CT slice ({_count(left_out)} left out)" if left_out else "no DICOM file"
        remedy = "correct the path, unpack archives, use real folders for links to folders"
        lines = [f"{base_name}: {found} in this folder; expected chest CT as DICOM files; {remedy}"]
    refuse(lines, "data set")
    patient = group_patients(belonging, patients_by)
    return [replace(series[key], patient=patient[key]) for key in sorted(series)]


def lung_slices(hu: np.ndarray, spacing_mm: float, min_fraction: float = 0.02) -> np.ndarray:
    """Find the slices in which aerated lung is seen.

    Parameters
    ----------
    hu
        ``[n, H, W]`` in HU.
    spacing_mm
        Side of a pixel in mm, > 0.
    min_fraction
        Least share, in 0..1, of the body's area that must be lung (-980 to -500 HU inside its outline).

    Returns
    -------
    np.ndarray
        bool ``[n]``.

    Raises
    ------
    ValueError
        When ``hu`` is not three-dimensional or ``spacing_mm`` is not positive.
    """
    if hu.ndim != 3 or not spacing_mm > 0:
        raise ValueError(f"expected hu [n, H, W] and spacing_mm > 0, got {hu.shape} and {spacing_mm}")
    n, height, width = hu.shape
    # About 3 mm is fine enough for an area; block means also calm the noise of sharp kernels.
    step = max(1, min(round(3.0 / spacing_mm), min(height, width) // 32))
    rows, columns = height // step, width // step
    seen = np.zeros(n, dtype=bool)
    for i in range(n):
        blocks = hu[i, : rows * step, : columns * step].reshape(rows, step, columns, step)
        small = blocks.mean(axis=(1, 3), dtype=np.float32)
        # Opening cuts off the table and clothes, which else would enclose air that looks like lung.
        filled = ndimage.binary_opening(ndimage.binary_fill_holes(small > -300), iterations=2)
        label, count = ndimage.label(filled)
        if count == 0:
            continue
        body = label == 1 + np.argmax(np.bincount(label.ravel())[1:])
        lung = body & (small >= -980) & (small <= -500)
        seen[i] = lung.sum() >= min_fraction * body.sum()
    return seen


def _shown(name: str) -> str:
    # A line break or undecodable byte in a file name must not break the one-line message.
    return "".join(c if c.isprintable() else "?" for c in name)


def _count(left_out: Counter[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in sorted(left_out.items()))


@contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """Hold back pydicom's warnings and log lines: they quote tag values."""
    theirs = logging.getLogger("pydicom")
    handlers, propagate = theirs.handlers, theirs.propagate
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        theirs.handlers, theirs.propagate = [logging.NullHandler()], False
        try:
            yield
        finally:
            theirs.handlers, theirs.propagate = handlers, propagate


def _dicom_files(base: Path, problems: _Problems) -> list[str]:
    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(base).as_posix()
        problems.add(name, "cannot be opened; expected a readable folder; check its permissions")

    names = []
    for folder, subfolders, files in os.walk(base, onerror=unreadable):
        subfolders.sort()
        for path in (Path(folder, file) for file in sorted(files)):
            name = path.relative_to(base).as_posix()
            named_so = path.suffix.lower() == ".dcm"
            try:
                # Opening a pipe would wait for ever.
                if path.is_file():
                    with path.open("rb") as stream:
                        if named_so or stream.read(132)[128:] == b"DICM":
                            names.append(name)
                elif named_so:
                    raise FileNotFoundError
            except OSError:
                problems.add(name, "cannot be opened; expected a readable file; check link and permissions")
    return names


def _read_file(path: Path, name: str, problems: _Problems, left_out: Counter[str]) -> _Slice | None:
    try:
        data = dcmread(path, specific_tags=_TAGS.split())
        reason = _left_out(data)
    except Exception as error:  # any type on damaged files; its text may quote tag values, so only the type
        kind = type(error).__name__
        problems.add(name, f"cannot be read ({kind}); expected a complete DICOM file; copy it anew or remove it")
        return None
    if reason is not None:
        left_out[reason] += 1
        return None
    findings = list(_header_findings(data))
    hu = None
    if (shape_finding := _shape_finding(data)) is None:
        try:
            hu = _decode(data)
        except _Unusable as unusable:
            findings.append(str(unusable))
    else:
        findings.append(shape_finding)
    for finding in findings:
        problems.add(name, finding)
    spacing = _numbers(data, "PixelSpacing", 2)
    if findings or hu is None or spacing is None:
        return None
    return _Slice(
        name,
        str(data.get("SeriesInstanceUID") or ""),
        _hashed(data, "PatientID"),
        _hashed(data, "StudyInstanceUID"),
        hu,
        float(spacing[0]),
        _numbers(data, "ImagePositionPatient", 3),
        _numbers(data, "ImageOrientationPatient", 6),
        _numbers(data, "SliceLocation", 1),
    )


def _hashed(data: FileDataset, keyword: str) -> str:
    """What only tells equal values of a tag from different ones; empty where it is missing or blank."""
    value = str(data.get(keyword) or "").strip()
    return hashlib.sha256(_SALT + value.encode()).hexdigest()[:16] if value else ""


def _numbers(data: FileDataset, keyword: str, count: int, finite: bool = True) -> np.ndarray | None:
    """Return ``count`` float64 values of a tag, or None when it is missing or anything else."""
    try:
        value = data.get(keyword)
        array = np.atleast_1d(np.asarray([] if value is None else value, dtype=np.float64))
    except Exception:  # pydicom raises many types on malformed values
        return None
    return array if array.shape == (count,) and (np.isfinite(array).all() or not finite) else None


def _left_out(data: FileDataset) -> str | None:
    """Say why a file is no CT slice, or None when it is one."""
    modality = str(data.get("Modality") or "")
    sop = UID(str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID") or "")).name
    # Scanners store screen shots such as dose reports under modality CT. A damaged file may have lost its
    # modality: where nothing speaks against CT it is kept, so that the damage gets reported.
    if modality not in ("", "CT") or "Secondary Capture" in sop or not (modality or not sop or "CT" in sop):
        return "not CT"
    return "localizer" if "LOCALIZER" in (data.get("ImageType") or "") else None


def _shape_finding(data: FileDataset) -> str | None:
    if "PixelData" not in data:
        return "no pixel data; expected a complete CT slice; copy the file anew or remove it"
    rows, columns, frames, samples = (
        int(v[0]) if (v := _numbers(data, k, 1)) is not None else missing
        for k, missing in (("Rows", 0), ("Columns", 0), ("NumberOfFrames", 1), ("SamplesPerPixel", 1))
    )
    if not 0 < min(rows, columns) <= max(rows, columns) <= LARGEST_SIDE:
        return f"Rows x Columns is {rows} x {columns}; expected 1 to {LARGEST_SIDE} each; remove the file"
    if (frames, samples) != (1, 1):
        return "several frames or colours; expected one grey slice per file; export single slices"
    return None


def _header_findings(data: FileDataset) -> Iterator[str]:
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if _numbers(data, keyword, 1, finite=False) is None:
            yield f"{keyword} is missing or no number; expected it for the HU scale; export the series anew"
    pair = _numbers(data, "PixelSpacing", 2)
    if pair is None or pair.min() <= 0:
        yield "PixelSpacing is missing or not two positive numbers; expected mm; export the series anew"
    elif not np.isclose(pair[0], pair[1], rtol=1e-3, atol=0):
        yield f"pixels of {pair[0]:g} x {pair[1]:g} mm; expected square pixels; resample or remove the series"
    tilt = _numbers(data, "GantryDetectorTilt", 1)
    if tilt is not None and abs(tilt[0]) > LARGEST_TILT_DEG:
        yield f"gantry tilt of {tilt[0]:g} degrees; expected {LARGEST_TILT_DEG} at most; remove the series"


def _decode(data: FileDataset) -> np.ndarray | None:
    """Return the slice in HU, or None where the rescale tags are missing."""
    syntax = UID(str(data.file_meta.get("TransferSyntaxUID") or ""))
    # A UID without a public name could carry an identity.
    label = syntax.name if syntax.name != str(syntax) else "unknown"
    try:
        decoder = get_decoder(syntax)
        plugins = decoder.available_plugins if syntax.is_encapsulated else ("none needed",)
    except (NotImplementedError, ValueError):
        plugins = ()
    if not plugins:
        remedy = "convert to Explicit VR Little Endian"
        if syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes):
            remedy = "install the package python-gdcm (pip install python-gdcm)"
        raise _Unusable(f"no decoder for '{label}'; expected a transfer syntax that pydicom decodes; {remedy}")
    try:
        # One fixed decoder where present, so that pixels do not depend on what else is installed.
        stored, _ = decoder.as_array(data, decoding_plugin="gdcm" if "gdcm" in plugins else "")
    except Exception as error:  # as in _read_file
        found = f"pixels cannot be decoded ('{label}', {type(error).__name__})"
        raise _Unusable(f"{found}; expected complete pixel data; copy the file anew or remove it") from None
    slope, intercept = (_numbers(data, k, 1, finite=False) for k in ("RescaleSlope", "RescaleIntercept"))
    if slope is None or intercept is None:
        return None
    with np.errstate(all="ignore"):
        hu = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if not np.isfinite(hu).all():
        raise _Unusable("NaN or infinite HU after rescale; expected finite HU; check the rescale tags")
    hu[_padding(data, stored)] = AIR_HU
    np.maximum(hu, LOWEST_HU, out=hu)
    if hu.min() == hu.max():
        raise _Unusable(f"constant slice of {hu.min():g} HU; expected an image; remove the file")
    whole = float(slope[0]).is_integer() and float(intercept[0]).is_integer()
    return hu.astype(np.int16) if whole and hu.max() <= np.iinfo(np.int16).max else hu


def _padding(data: FileDataset, stored: np.ndarray) -> np.ndarray:
    ends = [_numbers(data, k, 1) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return np.zeros(stored.shape, dtype=bool)
    # Scanners write -2000 as 63536 and the reverse: only the bit pattern can be trusted.
    values = np.concatenate([e for e in ends if e is not None]).astype(np.int64).astype(stored.dtype)
    return (stored >= values.min()) & (stored <= values.max())


def _build(folder: str, slices: list[_Slice]) -> tuple[Series | None, list[tuple[str, str]]]:
    """Check the slices of one series against each other and stack them in order of position.

    Returns the series, or None and the findings as pairs of file name and text.
    """
    findings = []
    shapes = [" x ".join(map(str, s.hu.shape)) for s in slices]
    spacings = [f"{s.spacing:g} mm" for s in slices]
    for what, values in (("shape", shapes), ("pixel spacing", spacings)):
        usual = Counter(sorted(values)).most_common(1)[0][0]
        remedy = f"expected one {what} per series; remove the slices that differ"
        findings += [
            (part.name, f"{what} {value} in a series of {usual}; {remedy}")
            for part, value in zip(slices, values, strict=True)
            if value != usual
        ]
    position, more = _positions(slices)
    findings += more
    if position is None:
        return None, findings
    order = np.argsort(position, kind="stable")
    for a, b in itertools.pairwise(order):
        if position[b] - position[a] < SAME_POSITION_MM:
            found = f"same position ({position[a]:g} mm) as {_shown(slices[a].name)}"
            findings.append((slices[b].name, f"{found}; expected each once per series; remove one of the two"))
    if findings:
        return None, findings
    hu = np.stack([slices[i].hu for i in order])
    digest = hashlib.sha256(f"{hu.shape}".encode())
    digest.update(np.ascontiguousarray(hu, dtype=hu.dtype.newbyteorder("<")).data)
    key = digest.hexdigest()[:8]
    return Series(folder, hu, position[order], slices[0].spacing, key, key), []


def _positions(slices: list[_Slice]) -> tuple[np.ndarray | None, list[tuple[str, str]]]:
    """Return float64 ``[n]`` positions in mm along the slice normal, or None and the findings."""
    lacking = [s.name for s in slices if s.corner is None or s.axes is None]
    locations = [s.location for s in slices if s.location is not None]
    if lacking and len(locations) == len(slices):
        return np.concatenate(locations), []
    if lacking:
        found = "no position: ImagePositionPatient or ImageOrientationPatient is missing or malformed"
        finding = f"{found}; expected both, or SliceLocation in the whole series; export the series anew"
        return None, [(name, finding) for name in lacking]
    axes = np.stack([s.axes for s in slices if s.axes is not None]).reshape(-1, 2, 3)
    corner = np.stack([s.corner for s in slices if s.corner is not None])
    usual = np.median(axes, axis=0)
    skewed = np.abs(axes @ axes.transpose(0, 2, 1) - np.eye(2)).max(axis=(1, 2)) > 1e-2
    turned = np.abs(axes - usual).max(axis=(1, 2)) > 1e-3
    if (skewed | turned).any():
        finding = (
            "ImageOrientationPatient differs within the series or is not two perpendicular unit vectors; "
            "expected one orientation; remove the slices that differ"
        )
        return None, [(slices[i].name, finding) for i in np.flatnonzero(skewed | turned)]
    normal = np.cross(usual[0], usual[1])
    position = corner @ normal
    # In a tilted scan the table moves obliquely to the slice normal, whatever the tilt tag says.
    low, high = int(np.argmin(position)), int(np.argmax(position))
    rise = position[high] - position[low]
    drift = np.linalg.norm(corner[high] - corner[low] - rise * normal)
    if drift > np.tan(np.radians(LARGEST_TILT_DEG)) * rise + SAME_POSITION_MM:
        finding = "gantry tilt: slices stacked obliquely; expected a scan without tilt; remove the series"
        return None, [(slices[high].name, finding)]
    return position, []
