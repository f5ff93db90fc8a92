"""The results in a few sentences, a small table, and the differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipv2_bench.benchmark.views.html.charts.bars import Bar, BarChart, differences
from ipv2_bench.benchmark.views.html.main_measures import TRUE_ERROR, asked, charted, main_distance, prices
from ipv2_bench.benchmark.views.html.sections.comparisons import Comparison, comparisons_of, relative_range
from ipv2_bench.benchmark.views.sentences import tallies
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.base import Column

FEW = 4
"""With fewer seeds or patients only large differences can exclude zero."""


@dataclass(frozen=True)
class Count:
    """Of how many pairs something is true; ``certain``: of how many of them with an interval that excludes zero."""

    heading: str
    hits: int
    pairs: int
    certain: int = 0


@dataclass(frozen=True)
class Towards:
    """How many pairs improve by one measure: what that means, and by how many percent."""

    meaning: str
    count: Count
    range: str


@dataclass(frozen=True)
class Answer:
    """The answer to a question: by the distance and the true error, and what gets worse."""

    question: str
    improvements: tuple[Towards, ...]
    prices: tuple[Count, ...]


@dataclass(frozen=True)
class Certainty:
    """What the intervals are over; ``over``: patients or slices in words, ``None`` where there are no intervals."""

    over: str | None
    seeds: int
    few: bool


@dataclass(frozen=True)
class SummaryRow:
    """A question, and for each measure the count of its pairs; ``None`` where no pair has the measure."""

    question: str
    counts: tuple[Count | None, ...]


@dataclass(frozen=True)
class Direction:
    """How much of what the paper publishes a table reproduces: key and heading of the table, and the counts."""

    key: str
    table: str
    counts: tuple[Count, ...]


@dataclass(frozen=True)
class OutcomeSection:
    """The section; ``certainty`` is ``None`` where no line has another to be compared with."""

    answers: tuple[Answer, ...]
    certainty: Certainty | None
    headings: tuple[str, ...]
    summary: tuple[SummaryRow, ...]
    charts: tuple[BarChart, ...]
    directions: tuple[Direction, ...]


def outcome_section(views: Sequence[TableView]) -> OutcomeSection:
    """The section, from the first table of denoised images whose lines can be compared."""
    for view in views:
        if not view.table.of_labels and (pairs := comparisons_of(view)):
            break
    else:
        return OutcomeSection((), None, (), (), (), ())
    questions = list(dict.fromkeys(pair.question for pair in pairs))
    columns = asked(view)
    by_question = {q: [pair for pair in pairs if pair.question == q] for q in questions}
    return OutcomeSection(
        answers=tuple(_answer(view, question, own) for question, own in by_question.items()),
        certainty=_certainty(pairs[0]),
        headings=tuple(column.heading for column in columns),
        summary=tuple(SummaryRow(q, tuple(_improved(own, c) for c in columns)) for q, own in by_question.items()),
        charts=tuple(chart for c in charted(view) if (chart := _chart(by_question, c)) is not None),
        directions=_directions(views),
    )


def _answer(view: TableView, question: str, pairs: Sequence[Comparison]) -> Answer:
    distance, improvements = main_distance(view), []
    for column in asked(view):
        count = _improved(pairs, column)
        if count is None or (column != distance and column.name != TRUE_ERROR):
            continue
        meaning = f"nearer to the {pairs[0].line.label}" if column == distance else "nearer to the aligned truth"
        improvements.append(Towards(meaning, count, relative_range([p for p in pairs if p.has(column)], column)))
    return Answer(question, tuple(improvements), _prices(view, pairs))


def _prices(view: TableView, pairs: Sequence[Comparison]) -> tuple[Count, ...]:
    """What gets worse with an interval that excludes zero: what the paper's own measures do not see."""
    counts = []
    for column in prices(view):
        judged = [pair for pair in pairs if pair.has(column)]
        worse = sum(pair.worsens(column) and pair.is_certain(column) for pair in judged)
        if worse:
            counts.append(Count(column.heading, worse, len(judged)))
    return tuple(counts)


def _improved(pairs: Sequence[Comparison], column: Column) -> Count | None:
    judged = [pair for pair in pairs if pair.has(column)]
    if not judged:
        return None
    better = [pair for pair in judged if pair.improves(column)]
    return Count(column.heading, len(better), len(judged), sum(pair.is_certain(column) for pair in better))


def _certainty(pair: Comparison) -> Certainty:
    seeds, sample = len(pair.line.seeds), pair.line.sample
    if sample is None:
        return Certainty(None, seeds, False)
    patients = sample.patients
    words = {0: "the test slices", 1: "the slices of one patient"}
    return Certainty(words.get(patients, f"{patients} test patients"), seeds, min(seeds, patients or 1) < FEW)


def _chart(by_question: dict[str, list[Comparison]], column: Column) -> BarChart | None:
    bars = []
    for pair in (pair for own in by_question.values() for pair in own if pair.has(column)):
        ends = pair.difference(column)
        bars.append(
            Bar(
                pair.name,
                pair.change(column),
                ends.low if ends else None,
                ends.high if ends else None,
                group=pair.group if len(by_question) > 1 else None,
                certain=pair.is_certain(column),
                better=pair.improves(column),
            )
        )
    if not bars:
        return None
    title = f"Difference in {column.heading}"
    return differences(f"difference-{column.name}", title, bars, lower_is_better=column.ideal != "higher")


def _directions(views: Sequence[TableView]) -> tuple[Direction, ...]:
    """How much of what the paper publishes is reproduced, table by table."""
    directions = []
    for view in views:
        counts = tuple(Count(t.what[0].lower() + t.what[1:], t.hits, t.cells) for t in tallies(view))
        if counts:
            directions.append(Direction(view.table.key, view.heading, counts))
    return tuple(directions)
