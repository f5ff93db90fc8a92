"""The catalogue of measures: every column with heading, unit, group and ideal value, collected from the measures' files.

Nothing here is listed by hand, and nothing imports torch: tables, ranking, page, W&B, study and documentation read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ipv2_bench import registry
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.base import GROUPS, Column, FeatureSpace, Measure

PACKAGE = "ipv2_bench.metrics.measures"


@dataclass(frozen=True)
class Catalogue:
    """Measures by key, in the order of their columns in the tables."""

    measures: dict[str, Measure]

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every column by name, group after group, in each group by the order of the measures."""
        ordered = sorted(self.measures.items(), key=lambda item: (item[1].order, item[0]))
        columns = [column for _, measure in ordered for column in measure.columns]
        groups = list(GROUPS)
        return {c.name: c for c in sorted(columns, key=lambda c: groups.index(c.group))}

    @cached_property
    def computed_in(self) -> dict[str, str]:
        """Column → key of the measure that fills it."""
        return {c.name: key for key, measure in self.measures.items() for c in measure.columns}

    def of_group(self, *groups: str) -> list[str]:
        """Names of the columns of some groups, in order."""
        return [name for name, c in self.columns.items() if c.group in groups]

    @property
    def published(self) -> list[str]:
        """Names of the columns that the paper publishes."""
        return [name for name, c in self.columns.items() if c.published]

    @cached_property
    def optional(self) -> frozenset[str]:
        """Names of the columns that are left out where nothing has them."""
        spaces = (m for m in self.measures.values() if isinstance(m, FeatureSpace) and m.optional)
        return frozenset(c.name for space in spaces for c in space.columns)

    def column(self, name: str, where: str = "measure") -> Column:
        """A column by name.

        Raises
        ------
        InputError
            When there is none; a similar one is suggested.
        """
        if name not in self.columns:
            hint = registry.suggestion(name, self.columns)
            raise InputError(f"{where} '{name}' is unknown: {hint}use one of {', '.join(self.columns)}")
        return self.columns[name]

    def space_of(self, column: str) -> str | None:
        """Key of the feature space that a column is a distance in; ``None`` for any other column."""
        key = self.computed_in.get(column)
        return key if key is not None and isinstance(self.measures[key], FeatureSpace) else None

    def main_distance(self, present: Iterable[str]) -> str | None:
        """The distance that a table is judged by: the first Fréchet distance that is present, FID before all others."""
        names = set(present)
        spaces = sorted(
            (m for m in self.measures.values() if isinstance(m, FeatureSpace)), key=lambda space: space.order
        )
        return next((space.frechet for space in spaces if space.frechet in names), None)


def catalogue(extra: Sequence[str] = ()) -> Catalogue:
    """The catalogue of all measures of the program, and of some from outside.

    Parameters
    ----------
    extra
        ``package.module:Class`` of the measures from outside (the setting ``metrics.extra``).

    Raises
    ------
    InputError
        When one is unknown, or two measures fill columns of the same name.
    """
    keys = [*registry.names(PACKAGE), *extra]
    measures = {key: registry.find(PACKAGE, key, Measure, "measure")() for key in keys}  # type: ignore[type-abstract]
    owner: dict[str, str] = {}
    for key, measure in measures.items():
        for column in measure.columns:
            if column.name in owner:
                raise InputError(
                    f"measures {owner[column.name]} and {key} both fill the column {column.name}: rename one of them"
                )
            owner[column.name] = key
    return Catalogue(measures)
