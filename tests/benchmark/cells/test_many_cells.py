"""A thousand cells: they are planned and gathered in seconds, without much memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.views.tables import table_views, write_tables
from tests.conftest import Smoke

CELLS = 1000
SECONDS = 10.0
MEGABYTES = 500


def resident() -> float:
    """Memory of this process, MB."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def opened(work: Path, seeds: Iterable[int]) -> Benchmark:
    """The smoke benchmark with some seeds, in a folder of its own, which begins with its data."""
    seeds_text = f"seeds=[{','.join(map(str, seeds))}]"
    config = load_config("smoke", [f"run.work={work}", f"run.out={work / 'out'}", "wandb.mode=disabled", seeds_text])
    return Benchmark.open(config, load_tables(config), progress=False)


def stub(smoke: Smoke, many: Benchmark) -> None:
    """Give every cell and row the files of the smoke run's, as if each had been computed."""
    one = smoke.benchmark(many.config.out)
    computed = {(key.denoiser, spec.strategy.name): spec for key, spec in one.cells.items()}
    for key, spec in many.cells.items():
        spec.folder.mkdir(parents=True)
        for path in computed[key.denoiser, spec.strategy.name].folder.iterdir():
            if path.is_file():
                os.link(path, spec.folder / path.name)
    rows, new = Rows(one), Rows(many)
    for table in many.tables:
        for line in table.lines:
            rows.row(line, 0)
            text = rows.path(line, 0).read_text()
            images = one.images(line, 0).set_id
            for seed in many.config.seeds:
                path = new.path(line, seed)
                path.parent.mkdir(exist_ok=True)
                own = text.replace('"seed": 0,\n "n_images"', f'"seed": {seed},\n "n_images"')
                path.write_text(own.replace(images, many.images(line, seed).set_id, 1))


def test_a_thousand_cells_are_planned_and_gathered_in_seconds(smoke: Smoke, tmp_path: Path) -> None:
    seeds = range(-(-CELLS // len(smoke.benchmark(tmp_path).cells)))
    stub(smoke, opened(tmp_path / "many", seeds))
    before, begin = resident(), time.process_time()
    benchmark = opened(tmp_path / "many", seeds)
    assert len(benchmark.cells) >= CELLS and not benchmark.incomplete()
    rows = Rows(benchmark)
    of_tables = rows.of_tables()
    written = rows.write(benchmark.config.out)
    views = table_views(benchmark.config, benchmark.tables, of_tables)
    write_tables(benchmark.config.out, views)
    seconds, megabytes = time.process_time() - begin, resident() - before
    print(f"{len(benchmark.cells)} cells and {len(written)} rows: {seconds:.1f} s of one core, {megabytes:.0f} MB")
    assert len(written) >= CELLS and all(len(line.seeds) == len(seeds) for line in views["table1"].lines)
    assert seconds < SECONDS and megabytes < MEGABYTES
