"""What every place where cells run has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ipv2_bench import registry
from ipv2_bench.benchmark.config import Config
from ipv2_bench.errors import InputError

if TYPE_CHECKING:
    from ipv2_bench.benchmark.cells.progress import Display
    from ipv2_bench.benchmark.cells.spec import CellSpec
    from ipv2_bench.lease import Leases

PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Failure:
    """A cell that could not be completed."""

    name: str
    message: str


class Runner(ABC):
    """A place where cells run. A subclass takes its options, ``run.at``, in ``__init__``.

    The files of a cell are the truth about it: whatever happened to an earlier run, what is complete is not computed again. A
    runner takes the lease of each cell that it computes, so that what another run computes is left to it; see
    :class:`OthersCells`.

    Attributes
    ----------
    processes
        Cells at once that the settings ask for.
    folder
        Of the benchmark, for files of the runner's own.
    """

    processes: int = 1
    folder: Path = Path()

    def check(self, devices: int, on_gpu: bool) -> None:  # noqa: B027  a place may take any number
        """Refuse trainings over more devices than this place gives them.

        Parameters
        ----------
        devices
            Of each training.
        on_gpu
            Whether this machine would take GPUs for them.

        Raises
        ------
        InputError
            It names both numbers and the remedy.
        """

    @abstractmethod
    def run(self, specs: Sequence[CellSpec], progress: bool = True) -> list[Failure]:
        """Run cells until each is complete or has failed; those that failed.

        Parameters
        ----------
        specs
            Cells, each once; some of them may be complete.
        progress
            Show progress, of all cells and of each that runs.

        Raises
        ------
        Submitted
            Where the cells go on without this process.
        OSError
            When the disk is full or gives out, which no other cell would escape.
        """

    def queued(self) -> dict[str, str]:
        """Cells of this benchmark that wait or run in a queue: a word for their state by identifier."""
        return {}


def check_runner(config: Config) -> None:
    """Refuse a place for cells that does not exist, and options that it does not have, from source text alone.

    Raises
    ------
    InputError
        The valid ones are listed.
    """
    registry.refuse_unknown(PACKAGE, config.run.on, "run.on")
    if config.run.on == "local" and config.run.at:
        raise InputError(f"run.at.{next(iter(config.run.at))} is for cells in a queue: set run.on=slurm")
    if ":" not in config.run.on:
        registry.check_options(registry.options_in_text(PACKAGE, config.run.on), config.run.at, f"run.on={config.run.on}")


class OthersCells:
    """Cells that other runs compute, or have completed meanwhile."""

    def __init__(self, leases: Leases, shown: Display) -> None:
        self.leases, self.shown = leases, shown
        self._told: set[str] = set()

    def claim(self, spec: CellSpec) -> bool:
        """Whether a cell is to be computed here. One that another run has completed is shown as complete."""
        holder = self.leases.take(spec.folder)
        if holder is not None and str(holder) not in self._told:
            self._told.add(str(holder))
            self.shown.note(f"cells that another run ({holder}) computes are left to it")
        if spec.complete:
            self.leases.release(spec.folder)
            self.shown.finish(spec.name)
            return False
        return holder is None
