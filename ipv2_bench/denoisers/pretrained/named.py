"""Names of trained denoisers, and the files behind them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ipv2_bench.errors import InputError
from ipv2_bench.weights import Weights, weights_folder

VARIABLE = "IPV2_BENCH_MODELS"
"""Environment variable that names a registry file of one's own; its names come beside those of the package."""

REGISTRY = Path(__file__).with_name("registry.json")

DEFAULT = "unet-native"
"""What ``ipv2-bench denoise`` takes when it is given nothing else."""


class Entry(BaseModel):
    """One trained denoiser.

    ``file``: of its weights, beside the registry or, with a ``url``, in the cache. ``sha256``: of the file. ``about``: what it is
    good for, in a few words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    about: str
    url: Annotated[str, Field(pattern=r"^(https://.*)?$")] = ""


def registries() -> list[Path]:
    """The registry files: the package's, and that of one's own."""
    own = os.environ.get(VARIABLE)
    return [REGISTRY, *([Path(own)] if own else [])]


def entries() -> dict[str, Entry]:
    """All trained denoisers by name.

    Raises
    ------
    InputError
        When a registry file is absent, not of this form, or has a name that the package has.
    """
    return {name: entry for name, (entry, _) in _all().items()}


def weights_file(name: str) -> Path:
    """The file of a trained denoiser, its hash verified; it is downloaded where it is not there yet.

    Raises
    ------
    InputError
        When the name is unknown, or the file is absent, altered, or cannot be downloaded.
    """
    known = _all()
    if name not in known:
        raise InputError(f"no trained denoiser is called '{name}': use one of {', '.join(known)}")
    entry, folder = known[name]
    weights = Weights(name, entry.file, entry.sha256, entry.url, command="")
    found = weights.find(folder) or weights.find(weights_folder(None))
    if found is None and entry.url:
        return weights.download()
    if found is None:
        raise InputError(f"{entry.file} of {name} is not beside its registry, and no url says where to get it: put it there")
    return found


def _all() -> dict[str, tuple[Entry, Path]]:
    """Every entry, with the folder of its registry."""
    known: dict[str, tuple[Entry, Path]] = {}
    for path in registries():
        try:
            read = TypeAdapter(dict[str, Entry]).validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"the registry {path.name} that {VARIABLE} names cannot be read ({error.strerror})") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(f"the registry {path.name} is not usable: {where}: {first['msg']}") from error
        twice = known.keys() & read.keys()
        if twice:
            raise InputError(f"the registry {path.name} names {min(twice)}, which is in the package: call it something else")
        known |= {name: (entry, path.parent) for name, entry in read.items()}
    return known
