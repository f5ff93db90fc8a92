"""Tables of every measure from the catalogue, in place of the line ``<!-- measures -->`` of a page."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from ipv2_bench.metrics.base import GROUPS, Column
from ipv2_bench.metrics.catalogue import Catalogue, catalogue

MARKER = "<!-- measures -->"
HEADINGS = ("column", "heading", "unit", "best", "needs", "published", "what it is")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the marker."""
    return markdown.replace(MARKER, tables(catalogue())) if MARKER in markdown else markdown


def tables(measures: Catalogue) -> str:
    """One table for each group of columns, in Markdown."""
    return "\n\n".join(_table(title, measures, group) for group, title in GROUPS.items() if measures.of_group(group))


def _table(title: str, measures: Catalogue, group: str) -> str:
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    lines += [_row(measures.columns[name]) for name in measures.of_group(group)]
    return f"### {title} {{ #measures-{group} }}\n\n" + "\n".join(lines)


def _row(column: Column) -> str:
    best = column.ideal if isinstance(column.ideal, str) else f"{column.ideal:g}"
    published = "yes" if column.published else "–"
    cells = (f"`{column.name}`", column.heading, column.unit or "–", best, ", ".join(column.needs) or "–", published)
    return f"| {' | '.join((*cells, column.explanation))} |"
