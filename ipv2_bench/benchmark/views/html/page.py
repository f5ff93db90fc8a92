"""The page: its sections in the order in which a reader asks, put into the template."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.figures import WINDOWS, example_slices
from ipv2_bench.benchmark.lines import Line, lines
from ipv2_bench.benchmark.out_folder import write_text
from ipv2_bench.benchmark.plan import denoiser_title
from ipv2_bench.benchmark.report.bottom_line import bottom_line
from ipv2_bench.benchmark.report.html_tables import titled
from ipv2_bench.benchmark.report.image_sets import image_sets
from ipv2_bench.benchmark.report.measures import cost_section, table_section, tones
from ipv2_bench.benchmark.report.pictures import VIEW, encode, gallery
from ipv2_bench.benchmark.report.provenance_section import provenance_section
from ipv2_bench.benchmark.report.slider import slider
from ipv2_bench.benchmark.report.spots import spots
from ipv2_bench.benchmark.report.study_section import study_section
from ipv2_bench.benchmark.results import Results
from ipv2_bench.benchmark.row_files import Row
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.fingerprint import digest

HERE = Path(__file__).parent
END = "<!--end of pictures-->"

TableRows = dict[str, list[list[Row]]]
"""By the table's key: for each of its lines the rows that are there."""


def page_name(config: Config, tables: Sequence[Table]) -> str:
    """``index.html`` for all tables of the configuration's file, else named after those that it shows."""
    keys = [t.key for t in tables]
    whole = config.own_tables and keys == [Path(t).stem for t in config.tables]
    return "index.html" if whole else f"{'_'.join(keys)}.html"


def page(
    config: Config, tables: Sequence[Table], rows: TableRows, found: dict[str, list[Line]], pictures: str, folder: Path
) -> str:
    """One HTML page that loads nothing from anywhere.

    Parameters
    ----------
    config
        The benchmark.
    tables, rows, found
        The tables; the rows of each by its key, one of them at least; the lines that they give.
    pictures
        Inside of the section of pictures; empty to leave it out.
    folder
        Where the tables lie, and the files of the study if it has been made.
    """
    tone = tones(found)
    sections = [("outcome", "What came out", _section("outcome", "What came out", bottom_line(tables, found)))]
    sections.append(("pictures", "Pictures", _section("pictures", "Pictures", pictures) if pictures else ""))
    sections += [(t.key, titled(t.key), table_section(t, found[t.key], tone)) for t in tables]
    sections.append(("cost", "Cost", cost_section(tables, rows, found, tone)))
    one = next(row.data for of_table in rows.values() for line in of_table for row in line)
    came, truth_known = one["provenance"], bool(one["fidelity"])
    whole = page_name(config, tables) == "index.html"
    if whole:  # the study is one of all tables
        sections.append(("study", "Study", study_section(folder, found, truth_known)))
    sections = [s for s in sections if s[2]]
    patients = one["n_test_patients"]
    seeds = len({row.data["seed"] for of_table in rows.values() for line in of_table for row in line})
    facts = [
        f"{one['n_images']} test slices" + (f" of {patients} patient{'s' * (patients > 1)}" if patients else ""),
        f"{seeds} training seed{'s' * (seeds > 1)}",
        f"{came['size']}×{came['size']} pixels",
    ]
    banner = (
        '<p class="banner" role="note">This size only tries every path: <strong>its numbers mean nothing.</strong></p>'
    )
    title = config.title or config.name
    title = title[:1].upper() + title[1:]
    title += "" if whole else f": {', '.join(t.title for t in tables)}"
    return Template((HERE / "template.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        facts=escape(", ".join(facts)),
        banner="" if came["meaningful"] else banner,
        links="".join(f'<li><a href="#{key}">{escape(name)}</a></li>' for key, name, _ in sections),
        sections="".join(text for *_, text in sections),
        provenance=provenance_section(config, rows),
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )


def _section(key: str, title: str, inside: str) -> str:
    return f'<section id="{key}"><h2>{title}</h2>{inside}</section>'


def pictures(results: Results, tables: Sequence[Table]) -> str:
    """The slider and the gallery, of complete cells."""
    ready = results.ready
    places = example_slices(len(ready.split.test))
    test = ready.split.test[places]
    clean = ready.slices.normal if ready.slices.truth is None else ready.slices.truth
    marked = [spots(ready.slices.low[i], clean[i], ready.window) for i in test]
    sets = image_sets(results, list(tables), places)
    slices, quality = encode(sets, places.tolist(), ready.slices.pixel_mm[test].tolist(), marked, ready.window)
    low, high = WINDOWS[VIEW]
    newcomers = [
        f"{denoiser_title(ready.config, key)} + {t.rows[0].strategy.name}" for t in tables for key in t.newcomers
    ]
    seed = f" of training seed {ready.config.seeds[0]}" if len(ready.config.seeds) > 1 else ""
    mark = _mark(_images_of({t.key: results.rows(t) for t in tables}))
    return (
        f"{mark}<p>Lung window, −{-low:.0f} to {high:.0f} HU, pixel for pixel. Images are compressed for this page (WebP, "
        f"quality {quality}); everything was measured on the originals. Outputs are those{seed} on slices chosen by their place "
        "in the test set, not by how they look.</p>"
        f"{slider(slices, [*newcomers, '+ IPv2'])}"
        '<p>Below each slice two parts of it, magnified: the <span class="legend-lung">filled arrow points to the lung</span>, '
        'the <span class="legend-background">hollow one to the air around the body</span>, each where the uLDCT is noisiest.</p>'
        f"{gallery(slices)}{END}"
    )


def kept_pictures(path: Path, rows: TableRows) -> str:
    """The pictures of a page that has been written, when they are of the same images; else none."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    start = text.find(_mark(_images_of(rows)))
    return text[start : text.index(END, start) + len(END)] if start >= 0 else ""


def _images_of(rows: TableRows) -> str:
    """Hash of what pictures show: data, labels and outputs."""
    shown = sorted(
        {r.data[k] for lines in rows.values() for line in lines for r in line[:1] for k in ("images", "reference")}
    )
    came = next(r.data["provenance"] for lines in rows.values() for line in lines for r in line)
    return digest([came["data_manifest"], came["split"], shown])


def _mark(images: str) -> str:
    return f"<!--pictures of {images}-->"


def write_page(config: Config, tables: Sequence[Table], rows: TableRows, inside: str, folder: Path) -> Path:
    """Write the page of rows into the tables' folder, unless it says the same already; its path comes back.

    ``inside``: of :func:`pictures` or :func:`kept_pictures`.
    """
    found = {t.key: lines(t, rows[t.key]) for t in tables}
    path, text = folder / page_name(config, tables), page(config, tables, rows, found, inside, folder)
    write_text(path, text)
    return path


def draw_page(results: Results, tables: Sequence[Table], folder: Path) -> Path:
    """Write the page of complete cells, its pictures drawn."""
    rows = {t.key: results.rows(t) for t in tables}
    return write_page(results.ready.config, tables, rows, pictures(results, tables), folder)


def try_page(results: Results, tables: Sequence[Table], folder: Path) -> Path | None:
    """Like :func:`draw_page`, but an error is told on stderr: the tables are there and must be shown."""
    try:
        return draw_page(results, tables, folder)
    except Exception as error:  # whatever it is
        what = f"{type(error).__name__}: {error}"
        print(f"ipv2-bench: the HTML page could not be written ({what}); the tables are complete", file=sys.stderr)
        return None
