"""What lies under ``leaderboards/`` as pages, and its pictures for the other pages."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
TITLES = {
    "phantom": "Digital thorax",
    "virtual_scan": "Real chest CT, scanned virtually",
    "performance": "Speed and memory",
}
"""Of the folders; one that is not here has its own name."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put them into the navigation."""
    assert config.nav is not None
    found = []
    for folder in sorted(p for p in BOARDS.iterdir() if p.is_dir()):
        pages = sorted(p.name for p in folder.glob("*.md"))
        if pages:
            listed = [{_title(name): f"leaderboards/{folder.name}/{name}"} for name in pages]
            found.append({TITLES.get(folder.name, folder.name): listed})
    config.nav.append({"Leaderboards": found})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the pages with one heading at their top, and a table's picture below it, which opens in full size."""
    for path in sorted(BOARDS.glob("*/*.md")):
        name = f"leaderboards/{path.parent.name}/{path.name}"
        text = path.read_text(encoding="utf-8").replace("\n### ", "\n## ").replace("## ", "# ", 1)
        picture = path.with_suffix(".png")
        if picture.exists() and f"({picture.name})" not in text:
            first, _, rest = text.partition("\n")
            text = f"{first}\n\n[![{path.stem}]({picture.name})]({picture.name})\n{rest}"
        head, _, body = text.partition("\n")
        text = f'---\nhide: [toc]\n---\n{head}\n\n<div class="board" markdown>\n{body}\n</div>\n'
        files.append(File.generated(config, name, content=text))
    for path in sorted(BOARDS.glob("*/*.png")):
        files.append(File.generated(config, f"leaderboards/{path.parent.name}/{path.name}", abs_src_path=str(path)))
    return files


def _title(name: str) -> str:
    words = name.removesuffix(".md").replace("_", " ")
    return words.replace("table", "Table ", 1) if words.startswith("table") else words.capitalize()
