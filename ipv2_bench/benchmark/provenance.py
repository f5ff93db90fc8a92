"""What a result came from: code, packages and hardware. No path, user or host name."""

from __future__ import annotations

import inspect
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from ipv2_bench.fingerprint import PACKAGE, code, digest, of_files
from ipv2_bench.metrics.extractors import available

SHAPE_NO_CELL = ("physics/closed_form.py", "purification/calibration.py")
"""Files of the folders that training runs through, which it does not use: the calibration's result is part of a cell."""

MEASURING = ("metrics", "purification/masks.py", "physics/intensity.py", "physics/seeding.py", "benchmark/measuring.py")


def training_code(denoiser: type) -> str:
    """Hash of the code that shapes a cell: the road from pairs to denoised images, and the denoiser's own files."""
    own = [Path(file) for c in denoiser.__mro__ if c.__module__ not in ("builtins",) and (file := _file(c)) is not None]
    # Of a package from outside everything counts; a lone module counts itself.
    outside = {f.parent for f in own if PACKAGE not in f.resolve().parents and (f.parent / "__init__.py").exists()}
    own += [p for folder in sorted(outside) for p in sorted(folder.rglob("*.py")) if p not in own]
    shared = (
        "physics",
        "purification",
        "data/pair.py",
        "data/datamodule.py",
        "denoisers/averaging.py",
        "denoisers/base.py",
        "denoisers/networks",
    )
    files = [p for part in shared for p in ((PACKAGE / part).rglob("*.py") if "." not in part else [PACKAGE / part])]
    files = [p for p in files if p.relative_to(PACKAGE).as_posix() not in SHAPE_NO_CELL]
    return of_files([*files, *own, PACKAGE / "benchmark" / "cell.py", PACKAGE / "benchmark" / "callbacks.py"])


def _file(cls: type) -> str | None:
    if cls.__module__.split(".")[0] in ("lightning", "torch", "abc", "lightning_fabric", "pytorch_lightning"):
        return None  # their versions stand beside
    return inspect.getsourcefile(cls)


def measuring_code() -> str:
    """Hash of the code that measures images, and of the pretrained extractors that are here."""
    own, extractors = code(*MEASURING), available()
    return digest([own, extractors]) if extractors else own


def commit() -> str:
    """Git commit of the code, with ``+`` when the tree was changed; empty outside of a checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(PACKAGE), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", "--", str(PACKAGE)) else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions() -> dict[str, str]:
    """Python and the packages that numbers depend on."""
    names = ("torch", "lightning", "numpy", "scipy", "scikit-image", "finufft", "torchmetrics", "piq", "clean-fid")
    found = {n: metadata.version(n) for n in names}
    return {"python": ".".join(map(str, sys.version_info[:3])), **found}


def processor() -> str:
    """Model name of the CPU."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
