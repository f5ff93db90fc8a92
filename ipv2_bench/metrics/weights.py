"""Weights of the feature extractors: where they may lie, that they are the right ones, and how they get there."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ipv2_bench.errors import InputError

VARIABLE = "IPV2_BENCH_WEIGHTS"
"""Environment variable that names a folder with weights; ``run.weights`` of a configuration sets it."""


@dataclass(frozen=True)
class Weights:
    """One file of weights.

    Attributes
    ----------
    name
        Of the extractor.
    file
        Name of the file.
    sha256
        Of its bytes, 64 hex digits.
    url
        Where its makers publish it.
    elsewhere
        Folders of other tools that keep the same file.
    """

    name: str
    file: str
    sha256: str
    url: str
    elsewhere: tuple[str, ...] = ()

    def places(self) -> list[Path]:
        """Where the file is looked for, in this order."""
        folders = [Path(os.environ[VARIABLE])] if os.environ.get(VARIABLE) else []
        folders += [cache_folder(), *(Path(e).expanduser() for e in self.elsewhere)]
        return [folder / self.file for folder in folders]

    def find(self) -> Path | None:
        """The file, verified; ``None`` where there is none.

        Raises
        ------
        InputError
            When a file of this name has another hash: damaged, cut off, or something else.
        """
        path = next((p for p in self.places() if p.is_file()), None)
        if path is not None:
            stat = path.stat()
            found = _sha256(path, stat.st_size, stat.st_mtime_ns)
            if found != self.sha256:
                raise InputError(
                    f"{path} is not the {self.name} file: its SHA-256 is {found[:12]}…, expected {self.sha256[:12]}…; "
                    f"remove it, and get it again with ipv2-bench check --download or from {self.url}"
                )
        return path

    def download(self, opened: Callable[[str], BinaryIO] = urllib.request.urlopen) -> Path:
        """Fetch the file into the cache; it appears whole and verified, or not at all.

        Raises
        ------
        InputError
            When the network fails or something else arrives.
        """
        target = cache_folder() / self.file
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{self.file}.")
        try:
            digest = hashlib.sha256()
            with os.fdopen(handle, "wb") as file, opened(self.url) as stream:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != self.sha256:
                raise InputError(
                    f"{self.url} gave a file with SHA-256 {digest.hexdigest()[:12]}…, expected {self.sha256[:12]}…: "
                    "the download was cut off or altered; nothing was kept"
                )
            os.replace(temporary, target)
        except OSError as error:
            raise InputError(
                f"{self.file} could not be fetched from {self.url} ({error}): fetch it where there is a network and put "
                f"it into a folder that {VARIABLE} names"
            ) from error
        finally:
            Path(temporary).unlink(missing_ok=True)
        return target


INCEPTION = Weights(
    "inception",
    "inception-2015-12-05.pt",
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    (tempfile.gettempdir(),),
)
"""clean-fid's TorchScript Inception v3, which clean-fid keeps in the folder for temporary files."""

CLIP = Weights(
    "clip-vit-b-32",
    "ViT-B-32.pt",
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    "https://openaipublic.azureedge.net/clip/models/"
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    ("~/.cache/clip",),
)
"""OpenAI's CLIP ViT-B/32, which its makers' and open_clip's loaders keep in ``~/.cache/clip``."""


def cache_folder() -> Path:
    """Where downloads go: ``ipv2-bench`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ipv2-bench"


@lru_cache(maxsize=16)
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash of a file; taken anew when its size or its time of change is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
