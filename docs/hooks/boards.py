"""Everything under ``leaderboards/`` as pages: tables, their pictures and CSV files, and each board's HTML pages."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
TITLES = {
    "phantom": "Digital thorax",
    "phantom_seeds": "Digital thorax, two training seeds",
    "native": "Real chest CT at its own resolution",
    "native_enlargement": "CoreDiff without its checkerboard",
    "native_rivals": "Ways out of misalignment on real CT",
    "variants": "What the publications leave open",
    "rivals": "Ways out of misalignment, and denoisers",
    "rivals_half": "Ways out of misalignment, half the breathing",
    "rivals_double": "Ways out of misalignment, twice the breathing",
    "performance": "Speed and memory",
}
"""Title of a board's folder; one that is not listed has its own name."""

REPORT = "Report: pictures, charts, provenance"
"""Title of a board's ``index.html``, which holds all of its tables."""

COPIED = (".png", ".csv", ".html")
"""Endings of the files that are copied as they are."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation."""
    assert config.nav is not None
    boards = []
    for folder in sorted((p for p in BOARDS.iterdir() if p.is_dir()), key=_order):
        pages = [*sorted(folder.glob("*.html")), *sorted(folder.glob("*.md"))]
        if pages:
            listed = [{_title(path): f"leaderboards/{folder.name}/{path.name}"} for path in pages]
            boards.append({TITLES.get(folder.name, folder.name): listed})
    config.nav.append({"Leaderboards": boards})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Generate a page from each Markdown file, and copy the other files."""
    for path in sorted(BOARDS.glob("*/*.md")):
        files.append(File.generated(config, f"leaderboards/{path.parent.name}/{path.name}", content=_page(path)))
    for path in sorted(p for p in BOARDS.glob("*/*") if p.suffix in COPIED):
        files.append(File.generated(config, f"leaderboards/{path.parent.name}/{path.name}", abs_src_path=str(path)))
    return files


def _page(path: Path) -> str:
    """A Markdown file with one heading at its top, then its note, links to the board's HTML pages, and its picture."""
    lines = path.read_text(encoding="utf-8").strip().split("\n")
    note = list(takewhile(lambda line: line.startswith(">"), lines))
    text = "\n".join(lines[len(note) :]).strip()
    title, body = _title(path), text
    if text.startswith("#"):
        first, _, body = text.partition("\n")
        title = first.lstrip("# ")
    parts = [f"# {title}", "\n".join(note), _links(path), _picture(path, body)]
    shown = "\n\n".join(part for part in parts if part)
    body = body.strip().replace("\n### ", "\n## ")
    return f'---\nhide: [toc]\n---\n{shown}\n\n<div class="board" markdown>\n\n{body}\n</div>\n'


def _links(path: Path) -> str:
    """Links to the HTML pages of a file's folder."""
    pages = sorted(path.parent.glob("*.html"))
    return " · ".join(f"[{_title(page)}]({page.name})" for page in pages)


def _picture(path: Path, body: str) -> str:
    """The picture of the same name, which opens in full size, unless the text shows it already."""
    picture = path.with_suffix(".png")
    if not picture.exists() or f"({picture.name})" in body:
        return ""
    return f"[![{path.stem}]({picture.name})]({picture.name})"


def _title(path: Path) -> str:
    """A file's name in words: ``table1_detail.md`` is "Table 1 detail"."""
    words = re.sub(r"(?<=[a-z])(?=\d)", " ", path.stem.replace("_", " ")).capitalize()
    if path.suffix != ".html":
        return words
    return REPORT if path.stem == "index" else f"Report: {words}"


def _order(folder: Path) -> tuple[int, str]:
    titled = list(TITLES)
    return (titled.index(folder.name) if folder.name in titled else len(titled), folder.name)
