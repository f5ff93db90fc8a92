"""Every version that names results is guarded by a golden part of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import ipv2_bench
from ipv2_bench import registry
from ipv2_bench.data.source import Source
from ipv2_bench.metrics.base import CostMeasure
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.purification.strategy import PACKAGE as STRATEGIES
from ipv2_bench.purification.strategy import Strategy
from tests.golden.golden import parts

GUARDED = {part.version_name for part in parts().values()}
PACKAGE = Path(ipv2_bench.__file__).parent
PICTURES = {
    *(f"ipv2_bench.benchmark.views.{name}.VERSION" for name in ("panels", "one_slice", "wandb.cell_run")),
}
"""They name pictures and runs for the eye, and no numbers."""


def test_every_measure_that_computes_numbers_is_guarded() -> None:
    measures = catalogue().measures.values()
    names = {f"{type(m).__module__}.{type(m).__qualname__}.version" for m in measures if not isinstance(m, CostMeasure)}
    assert names and names <= GUARDED


def test_every_source_is_guarded() -> None:
    package = "ipv2_bench.data.sources"
    sources = [registry.find(package, name, Source) for name in registry.names(package)]  # type: ignore[type-abstract]
    assert {f"{c.__module__}.{c.__qualname__}.version" for c in sources} <= GUARDED


def test_every_rival_is_guarded() -> None:
    of_the_lattice = {"purified", "raw", "simulated", "oracle"}  # by the part of the strategies
    rivals = [registry.find(STRATEGIES, name, Strategy) for name in registry.names(STRATEGIES) if name not in of_the_lattice]
    assert len(rivals) >= 4 and {f"{c.__module__}.{c.__qualname__}.version" for c in rivals} <= GUARDED


def test_every_version_of_a_module_is_guarded() -> None:
    names = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            names |= {f"{module}.{t.id}" for t in targets if isinstance(t, ast.Name) and t.id.endswith("VERSION")}
    assert len(names) > 8 and names - PICTURES <= GUARDED
