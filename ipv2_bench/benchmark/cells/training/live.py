"""What a training has logged so far, in a file of its folder, so that it can be followed from outside while it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ipv2_bench.files import write_text

NAME = "live.jsonl"


def picture_of(folder: Path, step: int) -> Path:
    """The picture of the validation slice that was denoised behind a step of the training in a folder."""
    return folder / "samples" / f"{step:07d}.png"


class LiveFile:
    """Values of steps, a line each time; lines of one step belong together. The file is gone once its slices are denoised.

    It is for those who look on alone: nothing is computed from it, and a disk that takes no more of it stops nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def begin(self, step: int) -> None:
        """Keep what was logged up to the step of the checkpoint from which training goes on."""
        kept = [(own, values) for own, values in live_rows(self.path.parent)[0] if own <= step]
        with suppress(OSError):
            write_text(self.path, "".join(_line(own, values) for own, values in kept))

    def __call__(self, step: int, values: Mapping[str, Any]) -> None:
        """Log values of a step."""
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write(_line(step, values))

    def end(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def _line(step: int, values: Mapping[str, Any]) -> str:
    return json.dumps({"step": step, **values}) + "\n"


Logged = tuple[int, dict[str, float]]
"""A step and what was logged of it."""


def live_rows(folder: Path, begin: int = 0) -> tuple[list[Logged], int]:
    """What the training in a folder has logged, in the order of the file from byte ``begin`` on, and where the next line begins.

    Nothing where there is no file; a file that has become shorter is read from its beginning. A line that is damaged is left out.
    """
    rows: list[Logged] = []
    try:
        with (folder / NAME).open("rb") as file:
            begin = begin if begin <= file.seek(0, 2) else 0
            file.seek(begin)
            content = file.read()
    except OSError:
        return [], begin
    whole = content.rfind(b"\n") + 1
    for line in content[:whole].splitlines():
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            values = json.loads(line)
            rows.append((int(values.pop("step")), {str(k): float(v) for k, v in values.items()}))
    return rows, begin + whole
