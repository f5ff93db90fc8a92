"""Tables: published numbers beside the right rows, CSV as documented, and directions counted right."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.lines import Line, baseline, best, lines
from ipv2_bench.benchmark.plan import denoiser_options, denoiser_title
from ipv2_bench.benchmark.render import differences, directions, to_csv, to_detail, to_markdown
from ipv2_bench.benchmark.results import Row
from ipv2_bench.benchmark.tables import Table, load_tables
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.uncertainty import draw_slices, interval

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted((ROOT / "leaderboards" / "published").glob("*.csv"))
METRICS = ("fid", "kid_x100", "clip_fid_x100")


def published_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return {t.key: t for t in load_tables(load_config(ROOT / "experiments" / "paper.yaml"))}


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_each_published_line_belongs_to_exactly_one_row(path: Path, tables: dict[str, Table]) -> None:
    table = tables[path.stem]
    rows = [(r.label, denoiser_title(Config(), r.denoiser) if r.denoiser else "", r.strategy.name) for r in table.rows]
    lines_ = published_rows(path)
    assert len(table.published) == len(lines_) >= 4
    for line in lines_:
        key = line["label"], line.get("denoiser", ""), line.get("strategy") or line["image_set"].replace("(NDCT)", "")
        assert rows.count(key) == 1, key
        assert table.published[key] == {m: float(line[m]) for m in METRICS}
    # What is not published is one of our own rules, and says so in its name.
    assert all(name.endswith("]") for *_, name in set(rows) - set(table.published))


def test_published_numbers_are_the_papers() -> None:
    found = {path.stem: [tuple(float(r[m]) for m in METRICS) for r in published_rows(path)] for path in PUBLISHED}
    assert {k: len(v) for k, v in found.items()} == {"table1": 8, "table2": 4, "table3": 8}
    assert found["table1"][0] == (81.78, 4.72, 4.68) and found["table1"][-1] == (27.02, 0.58, 1.12)
    assert found["table2"][-1] == (36.34, 0.89, 2.49)
    # Table 1's FM under IPv1 stands in Table 3 again.
    assert found["table3"][4] == found["table1"][0]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_published_gains_are_those_of_the_published_values(path: Path) -> None:
    base: dict[str, str] = {}
    for row in published_rows(path):
        if row["fid_gain_pct"] == "":
            assert row.get("strategy") == "IPv1" or row.get("image_set") == "IPv1(NDCT)"
            base = row
            continue
        for metric, gain in zip(METRICS, ("fid_gain_pct", "kid_gain_pct", "clip_fid_gain_pct"), strict=True):
            expected = 100 * (float(base[metric]) - float(row[metric])) / float(base[metric])
            assert float(row[gain]) == pytest.approx(expected, abs=1.0), (row, metric)


def test_some_tables_by_number(tables: dict[str, Table]) -> None:
    config = load_config(ROOT / "experiments" / "smoke.yaml")
    assert [t.key for t in load_tables(config, [3, 1])] == ["table3", "table1"]
    with pytest.raises(InputError, match="table 4 is unknown: use one of 1, 2, 3"):
        load_tables(config, [4])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("row: []\n", r"made\.yaml: 'row' is unknown: use one of title, images, published, rows"),
        ("images: pictures\nrows: [{denoiser: fm, strategy: IPv2}]\n", "images is 'pictures': use denoised or label"),
        ("title: none\n", r"made\.yaml has no rows"),
        ("rows: [{denoiser: fm, strategy: IPv9}]\n", "strategy 'IPv9' is unknown: use one of raw, IPv1"),
        ("rows: [{denoiser: fm}]\n", "needs a strategy"),
        ("rows: [{strategy: IPv2}]\n", "needs a strategy and a denoiser"),
        ("rows: [{denoiser: fm, strategy: IPv2, label: truth}]\n", r"'truth' is unknown: use one of NDCT, IPv2"),
        ("rows: [{denoiser: fm, strategy: IPv2, backgrund: x}]\n", "'backgrund' is unknown: use one of background"),
        ("rows: [{denoiser: fm, strategy: IPv2, background: x}]\n", "background 'x' is unknown: use one of flood_fill"),
        ("published: no.csv\nrows: [{denoiser: fm, strategy: IPv2}]\n", r"published numbers no\.csv are not there"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "made.yaml").write_text(text)
    with pytest.raises(InputError, match=named):
        load_tables(Config(folder=tmp_path, tables=("made.yaml",)))


def line(strategy: str, mean: dict, published: dict | None = None, **changes: object) -> Line:
    values = {
        "label": "NDCT", "denoiser": "FM", "modules": "", "n_images": 8, "seeds": (0, 1), "std": {}, **changes,
    }  # fmt: skip
    return Line(strategy=strategy, mean=mean, published=published or {}, **values)


def test_directions_are_counted_right() -> None:
    known = {"fid": 1.0}
    found = [
        line("IPv1", {"fd_randconv": 10.0, "kid_x100_randconv": 5.0, "psnr_db": 20.0, "rmse_hu": 100.0}, known),
        line("IPv1+1", {"fd_randconv": 8.0, "kid_x100_randconv": 5.5, "psnr_db": 22.0, "rmse_hu": 120.0}, known),
        line("IPv2", {"fd_randconv": 6.0, "kid_x100_randconv": 4.0, "psnr_db": 19.0, "rmse_hu": 90.0}, known),
        line("IPv2 [both_outside]", {"fd_randconv": 99.0, "kid_x100_randconv": 99.0, "psnr_db": 30.0, "rmse_hu": 80.0}),
        line("IPv2", {"fd_randconv": 6.0, "psnr_db": 25.0}, known, denoiser="FFM"),  # without its IPv1: not counted
    ]
    texts = directions(found)
    # Published rows only: 2 rows × 2 measures, of which KID of IPv1+1 got worse.
    assert "reproduced in 3 of 4 cells (2 rows × 2 measures)" in texts[0]
    assert re.search(r"not in FM IPv1\+1 vs NDCT: KID×100 \(randconv\)\.", texts[0])
    # Ours take part here: 3 rows × 2 measures, worse are RMSE of IPv1+1 and PSNR of IPv2.
    assert "truth agrees in 4 of 6 cells (3 rows × 2 measures)" in texts[1]
    assert "FM IPv1+1 vs NDCT: RMSE HU" in texts[1] and "FM IPv2 vs NDCT: PSNR dB" in texts[1]
    assert "randconv" in texts[2] and "not measured here" in texts[2]


def test_a_tie_is_no_improvement_and_labels_do_not_mix() -> None:
    known = {"fid": 1.0}
    found = [line("IPv1", {"fid": 5.0}, known), line("IPv2", {"fid": 5.0}, known)]
    assert "0 of 1 cells" in directions(found)[0]
    found[0] = line("IPv1", {"fid": 5.0}, known, label="IPv2(NDCT)")
    assert directions(found) == []


FIRST = """fid kid_x100 clip_fid_x100 fd_randconv kid_x100_randconv
    psnr_db ssim rmse_hu rmse_hu_rim noise_hu_background noise_hu_lung noise_hu_tissue seconds_per_slice""".split()  # noqa: SIM905
DETAIL = """noise_hu_bone bias_hu_background bias_hu_lung bias_hu_tissue bias_hu_bone
    edge_mtf50 nps_peak_shift_per_mm nps_mean_shift_per_mm nodule_cnr nodule_contrast
    fid_inf clip_fid_inf_x100 fd_inf_randconv
    psnr_label_db ssim_label rmse_label ms_ssim_label vif_label fsim_label gmsd_label iw_ssim_label""".split()  # noqa: SIM905
COLUMNS = [
    *("label", "denoiser", "strategy", "modules", "n_images", "n_seeds"),
    *(f"{m}{end}" for m in FIRST for end in ("", "_std")),
    *("published_fid", "published_kid_x100", "published_clip_fid_x100"),
    "n_patients",
    *(f"{m}{end}" for m in FIRST for end in ("_low", "_high")),
    *(f"{m}{end}" for m in DETAIL for end in ("", "_std", "_low", "_high")),
    *(f"{m}{end}" for m in ("network_calls", "inference_memory_mb") for end in ("", "_std")),
]


def row(seed: int, replicates: dict | None = None, **distances: float) -> Row:
    data = {
        "label": "NDCT", "denoiser": "FM", "strategy": "IPv2", "modules": "1+2+3", "seed": seed, "n_images": 12,
        "distances": distances, "fidelity": {"psnr_db": 20.0 + seed}, "cost": {"seconds_per_slice": 0.5},
    }  # fmt: skip
    return Row({**data, "replicates": replicates or {}})


def a_table(images: str = "denoised") -> Table:
    published = {("NDCT", "FM", "IPv2"): {"fid": 39.33, "kid_x100": 1.0, "clip_fid_x100": 2.5}}
    return Table("table1", "made up", images, (), published)


def test_lines_hold_mean_and_standard_deviation_over_seeds() -> None:
    (made,) = lines(a_table(), [[row(0, fd_randconv=4.0), row(2, fd_randconv=7.0)], []])
    assert made.seeds == (0, 2) and made.n_images == 12
    assert made.mean == {"fd_randconv": 5.5, "psnr_db": 21.0, "seconds_per_slice": 0.5}
    assert made.std["fd_randconv"] == pytest.approx(4.5**0.5) and made.std["psnr_db"] == pytest.approx(2**0.5)
    assert made.published["fid"] == 39.33
    (single,) = lines(a_table(), [[row(0, fd_randconv=4.0)]])
    assert single.mean["fd_randconv"] == 4.0 and single.std == {}


def test_a_measure_that_one_seed_lacks_is_left_out() -> None:
    (made,) = lines(a_table(), [[row(0, fd_randconv=4.0), row(1)]])
    assert "fd_randconv" not in made.mean and "psnr_db" in made.mean


def test_csv_has_the_documented_columns() -> None:
    made = lines(a_table(), [[row(0, fd_randconv=4.0), row(2, fd_randconv=7.0)]])
    found = list(csv.reader(io.StringIO(to_csv(made, "denoised"))))
    assert found[0] == COLUMNS
    cells = dict(zip(COLUMNS, found[1], strict=True))
    assert (cells["label"], cells["denoiser"], cells["strategy"], cells["modules"]) == ("NDCT", "FM", "IPv2", "1+2+3")
    assert (cells["n_images"], cells["n_seeds"], cells["fd_randconv"], cells["psnr_db"]) == ("12", "2", "5.5", "21")
    assert float(cells["fd_randconv_std"]) == pytest.approx(4.5**0.5, rel=1e-5)
    assert (cells["fid"], cells["fid_std"], cells["ssim"]) == ("", "", "")
    assert [float(cells[f"published_{m}"]) for m in METRICS] == [39.33, 1.0, 2.5]
    assert cells["n_patients"] == cells["fd_randconv_low"] == cells["fd_randconv_high"] == ""  # nothing was drawn
    label = dict(zip(COLUMNS, list(csv.reader(io.StringIO(to_csv(made, "label"))))[1], strict=True))
    assert label["strategy"] == "IPv2(NDCT)"


SAMPLE = draw_slices([str(p) for p in range(6) for _ in range(2)], replicates=100).sample


def sure(strategy: str, values: list[float], spread: float = 0.01, **changes: object) -> Line:
    """A line whose distance has these values over seeds, and draws that spread by so much around them."""
    rng = np.random.default_rng(list(strategy.encode()))
    drawn = np.array(values)[:, None] + spread * rng.normal(size=(len(values), 100))
    return line(
        strategy,
        {"fd_randconv": float(np.mean(values))},
        seeds=tuple(range(len(values))),
        values={"fd_randconv": values},
        replicates={"fd_randconv": drawn},
        sample=SAMPLE,
        **changes,
    )


def test_the_interval_of_a_line_is_that_of_its_seeds_and_patients() -> None:
    one = sure("IPv1", [4.0, 4.2, 4.1])
    expected = interval([4.0, 4.2, 4.1], one.replicates["fd_randconv"], SAMPLE)
    assert one.interval("fd_randconv") == expected and expected.low < 4.1 < expected.high
    assert one.interval("rmse_hu") is None
    cells = dict(zip(COLUMNS, list(csv.reader(io.StringIO(to_csv([one], "denoised"))))[1], strict=True))
    assert float(cells["fd_randconv_low"]) == pytest.approx(expected.low, rel=1e-4)
    assert cells["n_patients"] == "6"


def test_a_value_is_best_only_where_every_difference_excludes_zero() -> None:
    far, near, tied = sure("IPv2", [1.0, 1.1, 1.05]), sure("IPv1+1", [3.0, 3.1, 3.2]), sure("IPv1+2", [1.0, 1.2, 0.95])
    assert best([near, far], "fd_randconv") is far
    assert best([near, far, tied], "fd_randconv") is None
    assert best([far], "fd_randconv") is None  # better than nothing
    text = to_markdown(a_table(), [sure("IPv1", [3.0, 3.1, 3.2]), far], meaningful=True)
    assert re.search(r"\| \*\*1.05 ± [\d.]+ \(-66 %\*\)\*\* \|", text)
    assert "over seeds and 6 patients" in text and "Bold: better than every other line" in text


def test_with_one_seed_no_value_is_marked_as_best() -> None:
    base, other = sure("IPv1", [3.0]), sure("IPv2", [1.0])
    assert best([base, other], "fd_randconv") is None
    text = to_markdown(a_table(), [base, other], meaningful=True)
    assert "With one training seed the tables cannot tell" in text and "**1" not in text
    assert "(-67 %*)" in text  # for this seed the patients agree


def test_every_paired_difference_to_ipv1_is_written() -> None:
    base, other = sure("IPv1", [3.0, 3.1]), sure("IPv2", [1.0, 1.3])
    (found,) = csv.DictReader(io.StringIO(differences([base, other])))
    assert (found["strategy"], found["measure"], found["tells"]) == ("IPv2", "fd_randconv", "1")
    assert float(found["difference"]) == pytest.approx(-1.9)
    assert float(found["low"]) < -1.9 < float(found["high"])
    assert found["excludes_zero"] == str(int(float(found["high"]) < 0))


def test_a_variant_is_compared_with_the_denoiser_that_it_varies() -> None:
    def of(denoiser: str, key: str, base: str) -> Row:
        made = row(0, fd_randconv=4.0)
        return Row({**made.data, "denoiser": denoiser, "denoiser_key": key, "variant_of": base})

    plain, varied, other = lines(
        a_table(), [[of("FM", "fm", "")], [of("FM, EMA", "fm_EMA", "fm")], [of("FFM, EMA", "ffm_EMA", "ffm")]]
    )
    found = [plain, varied, other]
    assert baseline(found, varied) is plain and baseline(found, other) is None and baseline(found, plain) is None
    config = Config(denoisers={"fm_EMA": {"variant_of": "fm", "ema_decay": 0.9}, "fm": {"widths": [8]}})
    assert denoiser_title(config, "fm_EMA") == "FM, EMA" and denoiser_title(config, "fm") == "FM"
    cls, options = denoiser_options(config, "fm_EMA")
    assert cls.__name__ == "FlowMatching"
    assert options == {"widths": [8], "ema_decay": 0.9, "schedule": "constant"}
    with pytest.raises(InputError, match=r"denoisers.ffm.variant_of is 'fm': ffm is a denoiser itself"):
        denoiser_options(Config(denoisers={"ffm": {"variant_of": "fm"}}), "ffm")
    with pytest.raises(InputError, match=r"'gm' is unknown: use one of"):
        denoiser_options(Config(denoisers={"gm_x": {"variant_of": "gm"}}), "gm_x")


def test_a_denoiser_from_outside_has_neither_ours_nor_published_numbers() -> None:
    def of(strategy: str, key: str) -> Row:
        made = row(0, fd_randconv=4.0)
        return Row({**made.data, "strategy": strategy, "denoiser_key": key})

    keys = (("IPv1", "fm"), ("IPv2", "fm"), ("IPv2", "theirs:FM"))
    base, ours, theirs = lines(a_table(), [[of(*k)] for k in keys])
    assert baseline([base, ours, theirs], ours) is base and baseline([base, ours, theirs], theirs) is None
    assert ours.published and not theirs.published


def test_lines_of_other_seeds_are_not_paired() -> None:
    base, other = sure("IPv1", [3.0, 3.1]), sure("IPv2", [1.0])
    assert other.less(base, "fd_randconv") is None
    assert best([base, other], "fd_randconv") is None


def test_detail_shows_what_else_was_measured() -> None:
    found = [line("IPv2", {"edge_mtf50": 0.876, "bias_hu_lung": -9.4, "fd_randconv": 6.0})]
    text = to_detail(a_table(), found, meaningful=True)
    assert "| label | denoiser + training | bias lung HU | lung border MTF50 / truth |" in text
    assert "| NDCT | FM + IPv2 | -9.4 | 0.876 |" in text


def test_markdown_shows_the_change_against_ipv1() -> None:
    known = {"fid": 80.0, "kid_x100": 4.0, "clip_fid_x100": 4.0}
    found = [
        line("IPv1", {"fd_randconv": 10.0, "psnr_db": 20.0}, known),
        line("IPv2", {"fd_randconv": 6.0, "psnr_db": 21.5}, {**known, "fid": 39.33}, std={"fd_randconv": 0.25}),
        line("IPv2 [both_outside]", {"fd_randconv": 12.0, "psnr_db": 19.0}),
    ]
    text = to_markdown(a_table(), found, meaningful=True)
    rows = [r for r in text.splitlines() if r.startswith("| NDCT")]
    assert "| FM + IPv1 | 10 | 20 |" in rows[0]
    assert "| 6 ± 0.25 (-40 %) | 21.5 (+1.5 dB) | 39.33 |" in rows[1]
    assert "| 12 (+20 %) | 19 (-1.0 dB) | ours | ours | ours |" in rows[2]
    assert "numbers mean nothing" not in text
    assert "numbers mean nothing" in to_markdown(a_table(), found, meaningful=False)
    assert "reward copying" in to_markdown(a_table("label"), found, meaningful=True)
    widths = {r.count("|") for r in text.splitlines() if r.startswith("|")}
    assert len(widths) == 1
