"""Leases: a run says in a cell's folder that it computes the cell, so that no other run of the same board does.

A lease is a file that one process alone can create, on NFS too, and that its holder touches again and again. One whose holder has
ended, or has not touched it for long, is taken over. No clock of another machine is read.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

NAME = "lease.json"
"""Name of the file in the folder of what is computed."""

TOUCHED_S, STALE_S = 5.0, 300.0
"""Seconds between two touches, and without a touch after which a holder on another machine is taken to have ended."""


POLL_S = 1.0
"""Seconds between two looks at a lease of another run."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Attributes
    ----------
    token
        Of this lease alone.
    machine, started_since
        Name of the machine, and what tells its processes from those of another start or container of that name.
    process, started
        Number of the process, and when it began, in clock ticks of its machine.
    """

    token: str
    machine: str
    started_since: str
    process: int
    started: str

    @classmethod
    def own(cls) -> Holder:
        """The holder that this process is."""
        return cls(secrets.token_hex(8), socket.gethostname(), _start_of_machine(), os.getpid(), _started(os.getpid()) or "")

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """The holder that a lease names; ``None`` where it is gone, or not written yet."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def ended(self) -> bool | None:
        """Whether the process has ended; ``None`` where this machine cannot tell."""
        if (self.machine, self.started_since) != (socket.gethostname(), _start_of_machine()):
            return None
        started = _started(self.process)
        return None if started == "" != self.started else started != self.started

    def __str__(self) -> str:
        if not self.token:
            return "which is just beginning"
        where = "" if self.machine == socket.gethostname() else f" on {self.machine}"
        return f"process {self.process}{where}"


class Leases:
    """The leases of this process; use it as a context, at whose end all of them are released."""

    def __init__(self) -> None:
        self._held: dict[Path, str] = {}
        self._others: dict[Path, tuple[tuple[str, int], float]] = {}
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._touch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for folder in list(self._held):
            self.release(folder)

    def take(self, folder: Path) -> Holder | None:
        """Take the lease of a folder; who holds it where that is somebody else, ``None`` where it is ours."""
        if folder in self._held:
            return None
        path, own = folder / NAME, Holder.own()
        folder.mkdir(parents=True, exist_ok=True)
        if not _created(path, own):
            other = Holder.read(path) or Holder("", "", "", 0, "")
            if not self._ended(path, other) or not self._taken_over(path, other, own):
                return Holder.read(path) or other
        with self._lock:
            self._held[folder] = own.token
        return None

    def wait(self, folder: Path, tell: Callable[[str], None]) -> None:
        """Take the lease of a folder as soon as it is free; ``tell`` gets a line on who holds it, once."""
        told = False
        while (holder := self.take(folder)) is not None:
            if not told:
                tell(f"waiting for another run ({holder}), which writes {folder}")
                told = True
            time.sleep(POLL_S)

    def release(self, folder: Path) -> None:
        """Give a lease back."""
        with self._lock:
            token = self._held.pop(folder, None)
        holder = Holder.read(folder / NAME)
        if holder is not None and holder.token == token:
            (folder / NAME).unlink(missing_ok=True)

    def _ended(self, path: Path, holder: Holder) -> bool:
        """Whether the holder has ended: as this machine knows, or since its lease was not touched while we looked at it."""
        if holder.ended is not None:
            return holder.ended
        try:
            state = (holder.token, path.stat().st_mtime_ns)
        except OSError:
            return False  # released meanwhile
        before, since = self._others.get(path, (None, 0.0))
        if state != before:
            self._others[path] = (state, time.monotonic())
            return False
        return time.monotonic() - since > STALE_S

    def _taken_over(self, path: Path, ended: Holder, own: Holder) -> bool:
        """Whether we are the one who takes over the lease of a holder that has ended."""
        claim = path.with_name(f"{path.name}.claim")
        if not _created(claim, own):
            other = Holder.read(claim) or Holder("", "", "", 0, "")
            if self._ended(claim, other):  # killed within this function
                claim.unlink(missing_ok=True)
            return False
        try:
            now = Holder.read(path) or Holder("", "", "", 0, "")
            if now.token != ended.token:  # somebody else was faster
                return False
            path.unlink(missing_ok=True)
            return _created(path, own)
        finally:
            claim.unlink(missing_ok=True)

    def _touch(self) -> None:
        while not self._end.wait(TOUCHED_S):
            with self._lock:
                for folder in self._held:
                    with suppress(OSError):  # a disk that is away for a while; who takes the lease over computes the same
                        os.utime(folder / NAME)


def _created(path: Path, holder: Holder) -> bool:
    """Whether the lease was free, and is now that of a holder."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(holder), file)
    except OSError as error:  # a full disk: an empty lease would block the cell
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    return True


def _started(process: int) -> str | None:
    """When a process of this machine began, in clock ticks; ``None`` where there is none, empty where that is unknown."""
    try:
        # The name of the program, which may hold blanks, stands in parentheses before these fields.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # somebody else's
    return ""


def _start_of_machine() -> str:
    """What tells the processes of this machine from those before its last start, and from those of other containers."""
    parts = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)
