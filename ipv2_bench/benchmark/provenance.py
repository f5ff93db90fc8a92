"""What a result came from: code, packages and hardware. No path, user or host name."""

from __future__ import annotations

import ast
import hashlib
import platform
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS_THAT_SHAPE_RESULTS = ("physics", "data", "purification", "denoisers", "metrics")


@lru_cache(maxsize=1)
def code_hash() -> str:
    """SHA-256 of the code that shapes results, blind to comments, docstrings and layout; 16 hex digits."""
    digest = hashlib.sha256()
    files = [p for folder in FOLDERS_THAT_SHAPE_RESULTS for p in (PACKAGE / folder).rglob("*.py")]
    for path in sorted([*files, PACKAGE / "benchmark" / "cell.py"]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                body.pop(0)
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def commit() -> str:
    """Git commit of the code, with ``+`` when the tree was changed; empty outside of a checkout."""
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(PACKAGE), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", str(PACKAGE)) else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions() -> dict[str, str]:
    """Python and the packages that numbers depend on."""
    names = ("torch", "lightning", "numpy", "scipy", "scikit-image", "finufft")
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
