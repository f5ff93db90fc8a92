"""Jinja2 templates of the views: what they fill in is escaped automatically, as HTML or as a cell of a Markdown table."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parent / "html" / "templates")


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """The environment of all templates; names that end with ``.html.j2`` are escaped as HTML, ``.md.j2`` as Markdown cells."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDERS),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        finalize=_finalize,
        bytecode_cache=_compiled(),
    )


def _compiled() -> jinja2.BytecodeCache | None:
    """Jinja's cache of compiled templates, in a folder of this user alone; ``None`` where it cannot have one.

    Compiling takes a fifth of what a page takes otherwise.
    """
    try:
        return jinja2.FileSystemBytecodeCache()
    except (RuntimeError, OSError):  # no folder that is safe
        return None


@jinja2.pass_context
def _finalize(context: jinja2.runtime.Context, value: Any) -> Any:
    """What is written of a value: nothing of ``None``, and in a Markdown template a cell, unless it is marked ``safe``."""
    if value is None:
        return ""
    is_markdown = bool(context.name and context.name.endswith(".md.j2"))
    return markdown_cell(value) if is_markdown and not isinstance(value, Markup) else value


def markdown_cell(text: Any) -> str:
    """Text that a Markdown table's cell shows as it is, whatever a title holds."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def render(name: str, **values: Any) -> str:
    """A template filled in."""
    return environment().get_template(name).render(**values)
