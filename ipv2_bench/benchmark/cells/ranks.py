"""The processes of one training over several devices: this one is the first, and the others are begun and ended here."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import Stopped
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.processes import begin

LAST_WORDS_S = 10.0
"""How long a process is waited for whose end has ended the others: it says why."""


def is_first() -> bool:
    """Whether this process is the first of its training, which alone writes files."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def other_ranks(spec: CellSpec) -> Iterator[None]:
    """The other processes of a training, while it goes on.

    Raises
    ------
    InputError
        When one of them has ended; its error is named.
    """
    devices = spec.train.devices
    if devices == 1 or not is_first():
        yield
        return
    context = get_context("spawn")
    errors: Any = context.SimpleQueue()
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(devices), "NODE_RANK": "0"}
    each = [{**shared, "LOCAL_RANK": str(rank)} for rank in range(devices)]
    processes = [context.Process(target=_rank, args=(os.getpid(), own, spec, errors)) for own in each[1:]]
    before = {name: os.environ.get(name) for name in each[0]}
    os.environ |= each[0]
    try:
        for process in processes:
            process.start()
        yield
        for process in processes:
            process.join()
    except Exception as error:
        for process in processes:
            process.join(LAST_WORDS_S if _is_of_the_connection(error) else 0.0)
        if not errors.empty():
            raise InputError(errors.get()) from error
        ended = [str(p.exitcode) for p in processes if p.exitcode]
        if ended and _is_of_the_connection(error):
            raise InputError(f"a process of this training over {devices} devices ended with code {ended[0]}") from error
        raise
    finally:
        _leave_the_group()
        for process in processes:
            process.kill()
            process.join()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _rank(parent: int, environment: dict[str, str], spec: CellSpec, errors: Any) -> None:
    """One of the other processes: it trains the same cell on its share of the batches."""
    begin(parent, environment)
    from ipv2_bench.benchmark.cells.train import set_up, train

    try:
        set_up(spec)
        train(spec, lambda *_: None)
    except Stopped:
        pass
    except Exception as error:
        if not _is_of_the_connection(error):
            errors.put(str(error) if isinstance(error, InputError) else cause_of(error))
        sys.exit(1)
    finally:
        _leave_the_group()


def _is_of_the_connection(error: Exception) -> bool:
    """Whether an error may be that of a process whose partner has ended."""
    return isinstance(error, RuntimeError)


def _leave_the_group() -> None:
    import torch.distributed as group

    if group.is_available() and group.is_initialized():
        group.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
