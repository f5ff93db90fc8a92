"""What a table says in words: what its numbers are, how sure they are, and whether the paper's directions come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.tables import UNTOUCHED
from ipv2_bench.benchmark.views.line_pairs import LinePair, baseline_pairs
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.base import Column
from ipv2_bench.purification.strategy import ORACLE

COPYING = (
    "These distances reward copying: the NDCT itself would score 0 here, although it is not aligned with the uLDCT. The"
    " columns of fidelity to the truth say what a label is worth."
)

NOT_MEANT = "This size only tries every path: its numbers mean nothing."

OFFLINE_ONLY = (
    "FID, KID and CLIP-FID are not measured here, since their weights are not there; the distances are those of feature"
    " spaces that every installation has, whose values cannot be compared with the published ones, only directions."
)


def legend(lines: Sequence[Line]) -> str:
    """What the numbers of a table are."""
    seeds = max((len(line.seeds) for line in lines), default=0)
    text = f"Means over {seeds} training seed{'s' if seeds != 1 else ''}"
    sample = next((line.sample for line in lines if line.sample), None)
    if sample is None:
        return text + (" ± standard deviation" if seeds > 1 else "")
    whose = {0: " (their patients are not stated)", 1: " of one patient"}
    slices = f"the {sample.units} slices{whose.get(sample.patients, '')}"
    over = f"{sample.patients} patients" if sample.patients > 1 else slices
    return text + f", in brackets the 95 % interval over {'seeds and ' if seeds > 1 else ''}{over}"


def certainty(view: TableView, where: str = "in parentheses") -> str:
    """What is printed in parentheses (or elsewhere: ``where``), and what is bold, or why nothing is."""
    lines = view.lines
    seeds = max((len(line.seeds) for line in lines), default=0)
    varied = any(line.variant_of for line in lines)
    against = "the unchanged denoiser" if varied else "IPv1 with the same label and denoiser"
    text = f"; {where} the change against {against}"
    sample = next((line.sample for line in lines if line.sample), None)
    if sample is None:
        return text + "."
    text += ", with * where the interval of the paired difference excludes 0."
    if seeds > 1 and sample.patients > 1:
        few = min(seeds, sample.patients)
        text += " Bold: better than every other line of that label, the interval of each difference excluding 0"
        return text + ("." if view.marks_any else f"; no line is (with {few} seeds or patients only large differences can be).")
    lack = "one training seed" if seeds == 1 else "one patient" if sample.patients == 1 else "unknown patients"
    return text + f" With {lack} the tables cannot tell how another would order the lines, so no value is marked as best."


def bounds(view: TableView) -> list[str]:
    """What stands between floor and ceiling: the marks of lines that a filter beats, and what the way to the oracle is."""
    texts = []
    if any(line.strategy == ORACLE for line in view.lines):
        texts.append("oracle: trained on the uLDCT and the truth aligned with it; a filter's strength is chosen on such pairs.")
    if view.beats_any:
        texts.append("†: a classical filter has a smaller RMSE.")
    if view.ways:
        texts.append(
            "The way to the oracle goes from the RMSE of the untouched uLDCT (0 %) to that of the same denoiser's oracle (100 %)."
        )
    return [*texts, *rivals(view)]


def rivals(view: TableView) -> list[str]:
    """What the table's strategies train on that are no purification, and the share of the pairs that they can use."""
    texts = []
    own = {line.strategy.name: line.strategy for line in view.table.lines if line.denoiser not in (None, UNTOUCHED)}
    for strategy in (s for s in own.values() if not s.has_label and not s.needs_truth and s.summary):
        used = {x.mean["pairs_used"] for x in view.lines if x.strategy == strategy.name and "pairs_used" in x.values}
        share = f" ({100 * min(used):.3g} % of the pairs can be used)" if used and min(used) < 1 else ""
        texts.append(f"{strategy.name}: {strategy.summary}{share}.")
    return texts


@dataclass(frozen=True)
class Tally:
    """In how many cells (lines × columns) something came out, and the names of those in which it did not."""

    what: str
    lines: int
    columns: int
    cells: int
    missed: tuple[str, ...]

    @property
    def hits(self) -> int:
        """Cells in which it came out."""
        return self.cells - len(self.missed)


def tallies(view: TableView) -> list[Tally]:
    """The published improvement over IPv1, and that against the aligned truth; what was not measured is left out."""
    others = {line.strategy.name for line in view.table.lines if not line.strategy.has_label}
    pairs = baseline_pairs([line for line in view.lines if not line.variant_of and line.strategy not in others])
    published = [pair for pair in pairs if pair.line.published and pair.base.published]
    counted = [
        _tally("Published direction (better than IPv1) reproduced", published, view.present("distance")),
        _tally("The aligned truth agrees", pairs, view.present("fidelity")),
    ]
    return [tally for tally in counted if tally.cells]


def _tally(what: str, pairs: Sequence[LinePair], columns: Sequence[Column]) -> Tally:
    checks = [(pair, column) for pair in pairs for column in columns if pair.has(column)]
    missed = [
        f"{(line.denoiser + ' ' if line.denoiser else '') + line.strategy} vs {line.label}: {column.heading}"
        for line, column in ((pair.line, column) for pair, column in checks if not pair.improves(column))
    ]
    return Tally(what, len(pairs), len({column.name for _, column in checks}), len(checks), tuple(missed))


def directions(view: TableView) -> list[str]:
    """In how many cells the published improvement over IPv1 comes out, and whether the truth agrees."""
    texts = []
    for tally in tallies(view):
        text = f"{tally.what} in {tally.hits} of {tally.cells} cells ({tally.lines} rows × {tally.columns} measures)"
        texts.append(text + (f"; not in {'; '.join(tally.missed)}." if tally.missed else "."))
    measured = {c.name for c in view.present("distance")}
    if measured and not measured & set(view.catalogue.published):
        texts.append(OFFLINE_ONLY)
    return texts
