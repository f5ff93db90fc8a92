"""A device without hardware: it computes on the CPU, and counts how often its results are waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

DEVICE = torch.device("meta")
"""What the device is called: autograd knows it, and nothing is stored on it."""

WAITING = {
    torch.ops.aten._local_scalar_dense.default,  # float(x), int(x), bool(x), x.item()
    torch.ops.aten.nonzero.default,  # and with it boolean indices
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.unique_consecutive.default,
}


class OnDevice(Tensor):
    """A tensor of the device; ``held`` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=DEVICE, requires_grad=held.requires_grad
        )
        made.held = held.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} outside of the device's mode")

    def tolist(self) -> Any:
        """Its values, which are waited for."""
        return self.to("cpu").tolist()


class StubDevice(TorchDispatchMode):
    """Operations on :data:`DEVICE` are done on the CPU.

    Attributes
    ----------
    waits
        Names of the operations that waited for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(x, OnDevice)]
        to = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        here = DEVICE in (to, *(x.device for x in given))
        if not here:
            return func(*args, **kwargs)
        if func in WAITING:
            self.waits.append(str(func))
        if to is not None:
            kwargs["device"] = torch.device("cpu")
            from_here_to_cpu, from_cpu = bool(given) and to.type == "cpu", not given and func is torch.ops.aten._to_copy.default
            if from_here_to_cpu or (from_cpu and not kwargs.get("non_blocking")):
                self.waits.append(f"{func} to {to}")
        held_args, held_kwargs = tree_map_only(OnDevice, lambda x: x.held, (args, kwargs))
        out = func(*held_args, **held_kwargs)
        if to is not None and to.type == "cpu":
            return out
        if func._schema.is_mutable:  # in place: the same tensor again
            return args[0] if isinstance(args[0], OnDevice) else tree_map_only(Tensor, OnDevice, out)
        return tree_map_only(Tensor, OnDevice, out)


@contextmanager
def stub_device() -> Iterator[StubDevice]:
    """The device, while it is there."""
    with StubDevice() as device:
        yield device
