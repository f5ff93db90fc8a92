"""What is left on the disk of earlier results, where new tables stand beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def earlier_files(paths: Iterable[Path]) -> str | None:
    """A sentence that names those of some files that are there, of earlier results; ``None`` where none is."""
    there = [path for path in paths if path.exists()]
    if not there:
        return None
    return f"of earlier results, not of these tables: {', '.join(path.name for path in there)} in {there[0].parent}"
