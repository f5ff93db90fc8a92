"""A page for every public module, generated from its docstrings; nothing is listed by hand."""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGE = Path(__file__).resolve().parents[2] / "ipv2_bench"
ORDER = ("physics", "data", "purification", "backbones", "denoisers", "metrics", "benchmark", "folders", "commands")
"""Order of the folders in the navigation, which is that of their imports; whatever is not listed follows."""

RANKED_LOWER = "---\nsearch: {boost: 0.3}\n---"
"""Front matter by which a search lists the guide before the reference."""


def modules() -> list[Path]:
    """Every public module of the package, folders' ``__init__.py`` included."""
    public = [p for p in PACKAGE.rglob("*.py") if not any(_private(part) for part in p.relative_to(PACKAGE).parts)]
    return sorted(public, key=lambda p: (_rank(p), p.relative_to(PACKAGE).parts))


def dotted(path: Path) -> str:
    """``ipv2_bench.data.pair``; a folder's ``__init__.py`` has the folder's name."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def page(path: Path) -> str:
    """Path of a module's page in the documentation."""
    return f"reference/{dotted(path)}.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, folder by folder."""
    assert config.nav is not None
    folders: dict[str, list] = {}
    for path in modules():
        parts = dotted(path).split(".")[1:]
        name = "ipv2_bench" if len(parts) < 2 and path.name != "__init__.py" else (parts or ["ipv2_bench"])[0]
        title = "overview" if path.name == "__init__.py" and len(parts) < 2 else ".".join(parts[1:] or parts)
        folders.setdefault(name, []).append({title: page(path)})
    config.nav.append({"Reference": [{name: pages} for name, pages in folders.items()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Generate the pages."""
    for path in modules():
        inside = [m for m in modules() if m.parent == path.parent or m == path.parent / m.parent.name / "__init__.py"]
        listed = [f"- [`{dotted(m)}`]({dotted(m)}.md): {_first_line(m)}" for m in inside if m != path]
        text = [RANKED_LOWER, f"# {dotted(path)} {{ #{dotted(path)} }}", f"::: {dotted(path)}"]
        if path.name == "__init__.py":
            text += ["## Modules", "\n".join(listed)]
        files.append(File.generated(config, page(path), content="\n\n".join(text) + "\n"))
    return files


def _private(part: str) -> bool:
    return part.startswith("_") and part != "__init__.py"


def _rank(path: Path) -> int:
    folder = path.relative_to(PACKAGE).parts[0]
    return ORDER.index(folder) if folder in ORDER else len(ORDER)


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
