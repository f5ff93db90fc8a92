"""Trained denoisers as files: safetensors with the name and the options of what they hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ipv2_bench import registry
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.errors import InputError


def save_denoiser(denoiser: Denoiser, path: Path, name: str, options: dict[str, Any], **notes: str) -> None:
    """Write the weights, whole or not at all.

    Parameters
    ----------
    denoiser
        The trained module.
    path
        ``*.safetensors``.
    name, options
        What builds it: registry key, and keyword options.
    notes
        Whatever else the file shall tell, such as ``window="-1000 400"``.
    """
    from safetensors.torch import save_file

    state = {k: v.detach().cpu().contiguous() for k, v in denoiser.state_dict().items()}
    temporary = path.with_name(f".{path.name}.part")
    save_file(state, temporary, metadata={"denoiser": name, "options": json.dumps(options, sort_keys=True), **notes})
    os.replace(temporary, path)


def read_checkpoint(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a file tells of itself, and its weights by name.

    Raises
    ------
    InputError
        When it is not there, cut off, or none of ours.
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
    return notes, weights


def load_weights(denoiser: Denoiser, path: Path, name: str) -> None:
    """Fill a denoiser with the weights of a file.

    Raises
    ------
    InputError
        When the file is unusable, or holds another denoiser or another size; it names both.
    """
    notes, weights = read_checkpoint(path)
    if notes["denoiser"] != name:
        raise InputError(
            f"the checkpoint {path.name} holds denoiser {notes['denoiser']}, not {name}: name the other file"
        )
    _fill(denoiser, weights, path, notes)


def load_denoiser(path: Path) -> tuple[Denoiser, dict[str, str]]:
    """The denoiser of a file, built anew with its options, in evaluation mode; and what the file tells of itself.

    Raises
    ------
    InputError
        When the file is unusable, or the denoiser is not known here.
    """
    notes, weights = read_checkpoint(path)
    cls = registry.find("ipv2_bench.denoisers", notes["denoiser"], Denoiser)  # type: ignore[type-abstract]
    try:
        options = json.loads(notes["options"])
    except ValueError as error:
        raise InputError(f"the checkpoint {path.name} has unreadable options: use one of ipv2-bench train") from error
    denoiser = registry.build(cls, Denoiser, options, f"checkpoint {path.name}")
    _fill(denoiser, weights, path, notes)
    return denoiser.eval(), notes


def _fill(denoiser: Denoiser, weights: dict[str, Tensor], path: Path, notes: dict[str, str]) -> None:
    own = denoiser.state_dict()
    problems = [f"{k} is missing" for k in own if k not in weights]
    problems += [f"{k} is not known" for k in weights if k not in own]
    problems += [
        f"{k} is {list(weights[k].shape)} and not {list(own[k].shape)}"
        for k in own
        if k in weights and weights[k].shape != own[k].shape
    ]
    if problems:
        raise InputError(
            f"the checkpoint {path.name} holds another size of {notes['denoiser']} ({problems[0]}; {len(problems)} such): "
            f"it was made with {notes['options']}"
        )
    bad = [k for k, v in weights.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if bad:
        raise InputError(f"the checkpoint {path.name} holds NaN or infinity in {bad[0]}: train again")
    denoiser.load_state_dict(weights)
