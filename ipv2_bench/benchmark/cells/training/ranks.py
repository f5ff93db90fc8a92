"""The processes of one training over several devices: the cell's own is the first, and the others are begun and ended by it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

from lightning.pytorch.plugins.environments import LightningEnvironment

from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import Stopped
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.processes import begin

LAST_WORDS_S = 10.0
"""How long a process is waited for whose end has ended the others: it says why."""


@dataclass(frozen=True)
class Rank:
    """A process of a training.

    Attributes
    ----------
    number
        From 0; the first alone writes files.
    port
        Where the first one listens.
    """

    number: int = 0
    port: int = 0


class OnThisMachine(LightningEnvironment):
    """What a process is told of its place, whatever a scheduler or the environment says of the job."""

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self.rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """Yes: here, and not by Lightning, which would start the command again."""
        return True

    @property
    def main_address(self) -> str:
        """Of the first process."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Where the first process listens."""
        return self.rank.port

    def local_rank(self) -> int:
        """Number of this process."""
        return self.rank.number

    def node_rank(self) -> int:
        """Number of the machine, of which there is one."""
        return 0


@contextmanager
def other_ranks(spec: CellSpec, own: Rank) -> Iterator[Rank]:
    """The other processes of a training, while it goes on; this one's place among them.

    Raises
    ------
    InputError
        When one of them has ended; its error is named.
    """
    devices = spec.train.devices
    if devices == 1 or own.number:
        yield own
        return
    context = get_context("spawn")
    errors: Any = context.SimpleQueue()
    first = Rank(0, _free_port())
    ranks = [replace(first, number=number) for number in range(1, devices)]
    processes = [context.Process(target=_train, args=(spec, rank, errors)) for rank in ranks]
    try:
        for process in processes:
            process.start()
        yield first
        _leave_the_group()  # all together
        for process in processes:
            process.join()
    except Exception as error:
        if _is_of_the_connection(error):
            for process in processes:
                process.join(LAST_WORDS_S)
            if not errors.empty():
                raise InputError(errors.get()) from error
            if ended := [str(p.exitcode) for p in processes if p.exitcode]:
                raise InputError(f"a process of this training over {devices} devices ended with code {ended[0]}") from error
        raise
    finally:
        _leave_the_group()
        for process in processes:
            process.kill()
            process.join()


def _train(spec: CellSpec, rank: Rank, errors: Any) -> None:
    """One of the other processes: it trains the same cell on its share of the batches."""
    begin({})
    from ipv2_bench.benchmark.cells.training.train import set_up, train

    try:
        set_up(spec)
        train(spec, lambda *_: None, rank=rank)
    except Stopped:
        pass
    except Exception as error:
        if not _is_of_the_connection(error):
            errors.put(str(error) if isinstance(error, InputError) else cause_of(error))
        sys.exit(1)
    finally:
        _leave_the_group()


def _is_of_the_connection(error: Exception) -> bool:
    """Whether an error is that of a process whose partner has ended."""
    import torch.distributed as group

    kind = getattr(group, "DistError", ())
    return isinstance(error, kind) or (isinstance(error, RuntimeError) and any(x in str(error) for x in ("gloo", "NCCL")))


def _leave_the_group() -> None:
    import torch.distributed as group

    if group.is_available() and group.is_initialized():
        group.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
