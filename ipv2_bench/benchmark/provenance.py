"""What results came from: code, packages and hardware. No path, user or host name."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from ipv2_bench.fingerprint import PACKAGE

PACKAGES = ("torch", "lightning", "numpy", "scipy", "scikit-image", "finufft", "torchmetrics", "piq", "clean-fid")
"""Packages on which numbers depend."""


def commit() -> str | None:
    """Git commit of this program's checkout, with ``+`` when its package was changed; ``None`` outside of a checkout.

    A checkout of something else around an installed or copied package does not count, whatever ``GIT_…`` variables say.
    """
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("GIT_")}

    def git(*words: str) -> str:
        command = ["git", "-C", str(PACKAGE), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != PACKAGE.parent:
            return None
        if 'name = "ipv2-bench"' not in (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"):
            return None
        git("ls-files", "--error-unmatch", "--", str(PACKAGE / "__init__.py"))
        changed = git("status", "--porcelain", "--", str(PACKAGE))
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def packages() -> dict[str, str]:
    """Python and the packages that numbers depend on, with their versions."""
    return {"python": ".".join(map(str, sys.version_info[:3])), **{n: metadata.version(n) for n in PACKAGES}}


def processor() -> str:
    """Model name of the CPU."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
