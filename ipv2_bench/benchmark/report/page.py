"""The page: its sections in the order in which a reader asks, put into the template."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from ipv2_bench.benchmark.figures import WINDOWS, example_slices
from ipv2_bench.benchmark.lines import Line, lines
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
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.data.slices import write_whole

HERE = Path(__file__).parent


def page_name(results: Results, tables: Sequence[Table]) -> str:
    """``index.html`` for all tables of the configuration, else named after those that it shows."""
    keys = [t.key for t in tables]
    return "index.html" if keys == [Path(t).stem for t in results.ready.config.tables] else f"{'_'.join(keys)}.html"


def page(results: Results, tables: Sequence[Table], found: dict[str, list[Line]], folder: Path) -> str:
    """One HTML page that loads nothing from anywhere.

    Parameters
    ----------
    results
        Of complete cells.
    tables, found
        The tables, and the lines of each by its key.
    folder
        Where the tables lie, and the files of the study if it has been made.
    """
    config, test = results.ready.config, results.ready.split.test
    tone = tones(found)
    sections = [("outcome", "What came out", _section("outcome", "What came out", bottom_line(tables, found)))]
    sections.append(("pictures", "Pictures", _section("pictures", "Pictures", _pictures(results, tables))))
    sections += [(t.key, titled(t.key), table_section(t, found[t.key], tone)) for t in tables]
    sections.append(("cost", "Cost", cost_section(results, tables, found, tone)))
    whole = page_name(results, tables) == "index.html"
    if whole:  # the study is one of all tables
        sections.append(("study", "Study", study_section(folder, found, results.ready.slices.truth is not None)))
    sections = [s for s in sections if s[2]]
    patients = results.draws.patients
    seeds = len(config.seeds)
    facts = [
        f"{len(test)} test slices" + (f" of {patients} patient{'s' * (patients > 1)}" if patients else ""),
        f"{seeds} training seed{'s' * (seeds > 1)}",
        f"{config.data.size}×{config.data.size} pixels",
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
        banner="" if config.meaningful else banner,
        links="".join(f'<li><a href="#{key}">{escape(name)}</a></li>' for key, name, _ in sections),
        sections="".join(text for *_, text in sections),
        provenance=provenance_section(results, tables),
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )


def _section(key: str, title: str, inside: str) -> str:
    return f'<section id="{key}"><h2>{title}</h2>{inside}</section>'


def _pictures(results: Results, tables: Sequence[Table]) -> str:
    """The slider and the gallery."""
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
    return (
        f"<p>Lung window, −{-low:.0f} to {high:.0f} HU, pixel for pixel. Images are compressed for this page (WebP, quality "
        f"{quality}); everything was measured on the originals. Outputs are those{seed} on slices chosen by their place "
        "in the test set, not by how they look.</p>"
        f"{slider(slices, [*newcomers, '+ IPv2'])}"
        '<p>Below each slice two parts of it, magnified: the <span class="legend-lung">filled arrow points to the lung</span>, '
        'the <span class="legend-background">hollow one to the air around the body</span>, each where the uLDCT is noisiest.</p>'
        f"{gallery(slices)}"
    )


def lines_of(results: Results, tables: Sequence[Table]) -> dict[str, list[Line]]:
    """The lines of each table by its key."""
    return {t.key: lines(t, results.rows(t), results.draws) for t in tables}


def write_page(results: Results, tables: Sequence[Table], found: dict[str, list[Line]], folder: Path) -> Path:
    """Write the page into the tables' folder, unless it says the same already; its path comes back."""
    path, text = folder / page_name(results, tables), page(results, tables, found, folder)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, lambda file: file.write(text.encode()))
    return path


def try_page(results: Results, tables: Sequence[Table], found: dict[str, list[Line]], folder: Path) -> Path | None:
    """Like :func:`write_page`, but an error is told on stderr: the tables are there and must be shown."""
    try:
        return write_page(results, tables, found, folder)
    except Exception as error:  # whatever it is
        what = f"{type(error).__name__}: {error}"
        print(f"ipv2-bench: the HTML page could not be written ({what}); the tables are complete", file=sys.stderr)
        return None
