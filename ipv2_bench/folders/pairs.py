"""The settings of a folder of pairs that needs no configuration: its source, size and split are read from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ipv2_bench.benchmark.config import Config, default_config, load_config
from ipv2_bench.data.formats.png import png_files
from ipv2_bench.data.split import PARTS
from ipv2_bench.errors import InputError


def pairs_config(root: Path, name: str | None, settings: Sequence[str]) -> Config:
    """The configuration of a folder of pairs.

    Parameters
    ----------
    root
        Folder with ``lq`` and ``gt`` of PNG or DICOM.
    name
        A configuration, by name or path, whose ``data.root`` becomes ``root``; ``None`` to read what the folder says.
    settings
        Overrides ``key=value``.

    Raises
    ------
    InputError
        When the folder holds no pairs.
    """
    if name is not None:
        config = load_config(name, settings)
        data = config.data.model_copy(update={"options": {**config.data.options, "root": str(root)}})
        return config.model_copy(update={"data": data})
    if not root.is_dir():
        raise InputError(f"the folder {root} does not exist: name one with lq and gt of PNG or DICOM pairs")
    png = next((path for lq in sorted(root.rglob("lq")) if lq.is_dir() for path in png_files(lq)), None)
    return default_config(settings, data=_png_data(root, png) if png is not None else _dicom_data(root))


def _png_data(root: Path, first: Path) -> dict[str, object]:
    from PIL import Image

    with Image.open(first) as image:
        size = image.width
    by_folder = any(part in PARTS for part in first.relative_to(root).parts)
    return {"source": "paired_png", "root": str(root), "size": size, "split": "folder" if by_folder else "slice"}


def _dicom_data(root: Path) -> dict[str, object]:
    """Pairs of series at the size of the first slice; split by slice, since a folder may hold one patient."""
    from ipv2_bench.data.dicom.reading import open_dicom, read_bytes
    from ipv2_bench.data.dicom.tags import TAGS, quiet_pydicom, why_left_out
    from ipv2_bench.data.findings import Findings, LeftOut
    from ipv2_bench.data.formats.listing import files_below
    from ipv2_bench.data.sources.paired_dicom import NAMED, tells_doses_by_name

    folder = root if tells_doses_by_name(root) else root / "lq"
    with quiet_pydicom():
        for file in files_below(folder, Findings(), LeftOut()).dicom if folder.is_dir() else ():
            try:
                data = open_dicom(read_bytes(folder / file), stop_before_pixels=True, specific_tags=TAGS)
            except Exception:  # any type on damaged files, which are reported when the pairs are read
                continue
            if data.get("Rows") and why_left_out(data, derived=True) is None:
                size = int(max(data.Rows, data.get("Columns") or 0))
                return {"source": "paired_dicom", "root": str(root), "size": size, "split": "slice"}
    raise InputError(f"no pairs of PNG or DICOM under {root}: {NAMED}")
