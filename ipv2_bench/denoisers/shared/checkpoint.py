"""Files of trained denoisers: safetensors with the weights, the name and the options of a denoiser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ipv2_bench import registry
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_whole

OF_TRAINING = ("correction.", "critic.")
"""Beginnings of the names of weights that no file holds, see :meth:`~ipv2_bench.denoisers.base.Denoiser.end_training`."""


def save_denoiser(denoiser: Denoiser, path: Path, name: str, options: dict[str, Any], **notes: str) -> None:
    """Write the weights of a denoiser, without networks of the time of training; the file appears whole or not at all.

    Parameters
    ----------
    denoiser
        The trained module.
    path
        ``*.safetensors``.
    name, options
        Registry key and keyword options that build it.
    notes
        Further entries of the file's metadata, such as ``window="-1000 400"``.

    Raises
    ------
    InputError
        When a weight is not finite: nothing is written.
    """
    from safetensors.torch import save

    # Copies, since weights may be tied, and the format holds each tensor on its own.
    lasting = {k: v for k, v in denoiser.state_dict().items() if not k.startswith(OF_TRAINING)}
    state = {k: v.detach().cpu().contiguous().clone() for k, v in lasting.items()}
    bad = _not_finite(state)
    if bad:
        raise InputError(f"{bad} of denoiser {name} holds NaN or infinity: lower train.lr or set train.clip=1.0")
    metadata = {"denoiser": name, "options": json.dumps(options, sort_keys=True), "sha256": _sha256(state), **notes}
    content = save(state, metadata=metadata)
    write_whole(path, lambda file: file.write(content))


def _not_finite(weights: dict[str, Tensor]) -> str:
    """Name of the first weight that holds NaN or infinity; empty for none."""
    return next((k for k, v in weights.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())), "")


def _sha256(weights: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of the weights."""
    content = hashlib.sha256()
    for name in sorted(weights):
        weight = weights[name].contiguous()
        content.update(f"{name} {weight.dtype} {list(weight.shape)}".encode())
        content.update(weight.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def read_checkpoint(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata of a file (denoiser, options and notes), and its weights by name.

    Raises
    ------
    InputError
        When the file is absent, cut off, changed since it was written, or no checkpoint of this program.
    """
    if not path.is_file():
        raise InputError(f"the checkpoint {path.name} is not there: train first, or name another file")
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            weights = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"the checkpoint {path.name} is cut off or no safetensors file ({error}): remove it and train again"
        ) from error
    if "denoiser" not in notes or "options" not in notes:
        raise InputError(
            f"the checkpoint {path.name} does not say which denoiser it holds: use one of ipv2-bench train"
        )
    if "sha256" in notes and notes["sha256"] != _sha256(weights):
        raise InputError(
            f"the checkpoint {path.name} is not as it was written (another SHA-256 of its weights): remove it and train again"
        )
    return notes, weights


def load_weights(denoiser: Denoiser, path: Path, name: str) -> None:
    """Fill a denoiser with the weights of a file.

    Raises
    ------
    InputError
        When the file is unusable, or holds another denoiser or another size; the message names both.
    """
    notes, weights = read_checkpoint(path)
    if notes["denoiser"] != name:
        raise InputError(
            f"the checkpoint {path.name} holds denoiser {notes['denoiser']}, not {name}: name the other file"
        )
    _fill(denoiser, weights, path, notes)


def load_denoiser(path: Path, outside: Collection[str] | None = ()) -> tuple[Denoiser, dict[str, str]]:
    """The denoiser of a file, built with its options, in evaluation mode; and the file's metadata.

    Parameters
    ----------
    path
        ``*.safetensors``.
    outside
        Classes from outside of this package, ``package.module:Class``, that may be imported to read the file; ``None`` for
        any, which is safe only for files that you wrote yourself.

    Raises
    ------
    InputError
        When the file is unusable, or its denoiser is unknown, or comes from outside and is not in ``outside``.
    """
    notes, weights = read_checkpoint(path)
    name = notes["denoiser"]
    if ":" in name and outside is not None and name not in outside:
        raise InputError(
            f"the checkpoint {path.name} asks for code from outside: if you trust it, denoise --outside {name}, or name "
            "it among the denoisers of the configuration"
        )
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)  # type: ignore[type-abstract]
    try:
        options = dict(json.loads(notes["options"]))
    except (ValueError, TypeError) as error:
        raise InputError(f"the checkpoint {path.name} has unreadable options: use one of ipv2-bench train") from error
    foreign = [v for v in options.values() if isinstance(v, str) and ":" in v and outside is not None and v not in outside]
    if foreign:  # an option may name a class, such as a backbone
        raise InputError(
            f"the checkpoint {path.name} asks for code from outside: if you trust it, denoise --outside {foreign[0]}"
        )
    with torch.device("meta"):  # a size that the weights do not have takes no memory
        _refuse_other_size(registry.build(cls, Denoiser, options, f"checkpoint {path.name}"), weights, path, notes)
    denoiser = registry.build(cls, Denoiser, options, f"checkpoint {path.name}")
    _fill(denoiser, weights, path, notes)
    return denoiser.eval(), notes


def _fill(denoiser: Denoiser, weights: dict[str, Tensor], path: Path, notes: dict[str, str]) -> None:
    _refuse_other_size(denoiser, weights, path, notes)
    bad = _not_finite(weights)
    if bad:
        raise InputError(f"the checkpoint {path.name} holds NaN or infinity in {bad}: remove it and train again")
    denoiser.load_state_dict(weights)


def _refuse_other_size(denoiser: Denoiser, weights: dict[str, Tensor], path: Path, notes: dict[str, str]) -> None:
    denoiser.end_training()
    own = denoiser.state_dict()
    problems = [f"{k} is missing" for k in own if k not in weights]
    problems += [f"{k} is not known" for k in weights if k not in own]
    problems += [
        f"{k} is {list(weights[k].shape)} and not {list(own[k].shape)}"
        for k in own
        if k in weights and weights[k].shape != own[k].shape
    ]
    problems += [
        f"{k} is {weights[k].dtype} and not {own[k].dtype}"
        for k in own
        if k in weights and weights[k].dtype != own[k].dtype
    ]
    if problems:
        raise InputError(
            f"the checkpoint {path.name} holds another size of {notes['denoiser']} ({problems[0]}; {len(problems)} such): "
            f"it was trained with {notes['options']}"
        )
