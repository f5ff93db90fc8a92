"""Jinja2 templates of the views: HTML is escaped automatically, Markdown's table marks are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parent / "html" / "templates")


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """The environment of all templates; names that end with ``.html.j2`` are escaped as HTML, ``.md.j2`` as Markdown cells."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDERS),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: "" if value is None else value,
    )
    made.filters["md"] = markdown_cell
    return made


def markdown_cell(text: Any) -> str:
    """Text that a Markdown table's cell shows as it is, whatever a title holds."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def render(name: str, **values: Any) -> str:
    """A template filled in."""
    return environment().get_template(name).render(**values)
