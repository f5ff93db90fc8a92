"""The page: its sections in the order in which a reader asks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.row import Row
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.benchmark.views.earlier import earlier_files
from ipv2_bench.benchmark.views.html.abbreviations import abbreviations_in
from ipv2_bench.benchmark.views.html.palette import Palette
from ipv2_bench.benchmark.views.html.picture_file import PictureFile, picture_path, write_pictures
from ipv2_bench.benchmark.views.html.pictures import draw_pictures
from ipv2_bench.benchmark.views.html.sections.cost import CostSection, cost_section
from ipv2_bench.benchmark.views.html.sections.detection import DetectionSection, detection_section
from ipv2_bench.benchmark.views.html.sections.outcome import OutcomeSection, outcome_section
from ipv2_bench.benchmark.views.html.sections.pictures import PicturesSection, pictures_section
from ipv2_bench.benchmark.views.html.sections.provenance import provenance_facts
from ipv2_bench.benchmark.views.html.sections.ranking import RankingSection, ranking_section
from ipv2_bench.benchmark.views.html.sections.study import StudySection, study_section
from ipv2_bench.benchmark.views.html.sections.tables import TableSection, table_section
from ipv2_bench.benchmark.views.strategy_options import option_words
from ipv2_bench.benchmark.views.tables import table_views
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.errors import cause_of
from ipv2_bench.files import is_disk_error, write_text
from ipv2_bench.metrics.catalogue import catalogue

if TYPE_CHECKING:
    from ipv2_bench.benchmark.cells.benchmark import Benchmark
    from ipv2_bench.benchmark.rows.make import TableRows

HERE = Path(__file__).parent
INDEX = "index.html"
HERO = "slice.png"
"""Picture of one slice, large, that the page of all tables opens with."""


@dataclass(frozen=True)
class Link:
    """A link to a section: its id and its text."""

    key: str
    text: str


@dataclass(frozen=True)
class Page:
    """Everything that the page shows; sections that do not apply are ``None``.

    Attributes
    ----------
    title, facts, meaningful
        Its heading, what the numbers are of, and whether they mean anything.
    options
        Options of strategies, which their names have in brackets, and what they mean.
    links
        To the sections.
    ranking, outcome, pictures, tables, cost, detection, study
        The sections in their order.
    provenance
        Facts of the page's foot by their names.
    """

    title: str
    facts: tuple[str, ...]
    options: dict[str, str]
    meaningful: bool
    links: tuple[Link, ...]
    ranking: RankingSection | None
    outcome: OutcomeSection
    pictures: PicturesSection | None
    tables: tuple[TableSection, ...]
    cost: CostSection | None
    detection: DetectionSection | None
    study: StudySection | None
    provenance: dict[str, str]


def page_name(config: Config, tables: Sequence[Table]) -> str:
    """``index.html`` for all tables of the configuration's file, else named after the tables that it shows."""
    keys = [table.key for table in tables]
    whole = config.own_tables and keys == [Path(name).stem for name in config.tables]
    return INDEX if whole else f"{'_'.join(keys)}.html"


def page(
    config: Config, tables: Sequence[Table], rows: TableRows, pictures: PictureFile | None, folder: Path
) -> Page:
    """What the page shows.

    Parameters
    ----------
    config
        The benchmark.
    tables, rows
        The tables, and the rows of each by its key, at least one.
    pictures
        Its pictures; ``None`` to leave them out.
    folder
        Of the tables, and of the files of ``detect`` and ``study`` if there are any.
    """
    by_key = table_views(config, tables, rows)
    views = [by_key[table.key] for table in tables]
    every_row = [row for of_table in rows.values() for of_line in of_table for row in of_line]
    whole = page_name(config, tables) == INDEX
    palette = Palette.of(views)
    cost = cost_section(views, rows, palette)
    study = study_section(folder, views, _truth_known(every_row[0], config)) if whole else None  # it is one of all tables
    detection = detection_section(folder, {row.images for row in every_row})
    ranking = ranking_section(views, pictures)
    links = [
        *([Link("ranking", "Ranking" if ranking else "Slider")] if ranking or pictures else []),
        Link("outcome", "Results"),
        *([Link("pictures", "Pictures")] if pictures else []),
        *(Link(view.table.key, view.heading) for view in views),
        *([Link("cost", "Cost")] if cost else []),
        *([Link("detection", "Nodules")] if detection else []),
        *([Link("study", "Study")] if study else []),
    ]
    title = config.heading[:1].upper() + config.heading[1:]
    return Page(
        title=title if whole else f"{title}: {', '.join(table.title for table in tables)}",
        facts=_facts(every_row),
        options=option_words(line.strategy for table in tables for line in table.lines),
        meaningful=every_row[0].provenance.meaningful,
        links=tuple(links),
        ranking=ranking,
        outcome=outcome_section(views),
        pictures=pictures_section(pictures) if pictures else None,
        tables=tuple(table_section(view, palette) for view in views),
        cost=cost,
        detection=detection,
        study=study,
        provenance=provenance_facts(config, every_row),
    )


def _truth_known(row: Row, config: Config) -> bool:
    """Whether a row has a measure that needs the aligned truth."""
    columns = catalogue(config.metrics.extra).columns
    return any("truth" in columns[name].needs for name in row.measures if name in columns)


def _facts(rows: Sequence[Row]) -> tuple[str, ...]:
    first, patients, seeds = rows[0], rows[0].n_test_patients, len({row.seed for row in rows})
    return (
        f"{first.n_images} test slices" + (f" of {_count(patients, 'patient')}" if patients else ""),
        _count(seeds, "training seed"),
        f"{first.provenance.size}×{first.provenance.size} pixels",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def write_page(
    config: Config, tables: Sequence[Table], rows: TableRows, pictures: PictureFile | None, folder: Path
) -> Path:
    """Write the page of rows into the tables' folder, unless it says the same already; its path.

    The parameters are those of :func:`page`.
    """
    path = folder / page_name(config, tables)
    # Files of this program, not of a user: the page holds them as they are.
    style, script = (Markup((HERE / name).read_text(encoding="utf-8")) for name in ("style.css", "page.js"))
    whole = page(config, tables, rows, pictures, folder)
    sections = Markup(render("sections.html.j2", page=whole))  # escaped by its template
    text = render(
        "page.html.j2",
        page=whole,
        sections=sections,
        abbreviations=abbreviations_in(sections),
        style=style,
        script=script,
    )
    write_text(path, text)
    return path


def draw_page(benchmark: Benchmark, rows: TableRows, folder: Path) -> Path:
    """Write the page of complete cells and the file of its pictures, which are drawn first; the page's path."""
    name = page_name(benchmark.config, benchmark.tables)
    hero = folder / HERO if name == INDEX else None
    if hero is not None:
        from ipv2_bench.benchmark.views.one_slice import draw_one_slice  # a page of rows alone does without cells

        draw_one_slice(benchmark, rows, hero)
    pictures = draw_pictures(benchmark, rows, hero)
    write_pictures(picture_path(folder, name), pictures)
    return write_page(benchmark.config, benchmark.tables, rows, pictures, folder)


def try_page(benchmark: Benchmark, rows: TableRows, folder: Path) -> Path | None:
    """Like :func:`draw_page`, but an error is reported on stderr, with what is left of an earlier page: the tables exist.

    Raises
    ------
    OSError
        When the disk is full.
    """
    try:
        return draw_page(benchmark, rows, folder)
    except Exception as error:  # whatever it is
        if is_disk_error(error):
            raise
        what = cause_of(error)
        kept = earlier_files([folder / page_name(benchmark.config, benchmark.tables)])
        rest = f"; {kept}" if kept else ""
        print(f"ipv2-bench: the HTML page could not be written ({what}); the tables are complete{rest}", file=sys.stderr)
        return None
