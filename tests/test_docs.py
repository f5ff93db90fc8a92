"""The documentation builds strictly, is whole, loads nothing from elsewhere, and its commands and examples work."""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import subprocess
import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
import yaml

from ipv2_bench import registry
from ipv2_bench.benchmark.prepared import shared_versions
from ipv2_bench.benchmark.rows.row import SCHEMA
from ipv2_bench.benchmark.tables import KEYS
from ipv2_bench.cli import command_modules
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.shared.checkpoint import save_denoiser
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.strategies.purified import Purified
from ipv2_bench.purification.strategy import names
from tests import chromium, program
from tests.committed import committed_boards
from tests.documents import (
    PAGES,
    ROOT,
    blocks,
    check_command,
    check_setting,
    command_lines,
    make_targets,
    named_files,
    unexplained,
)
from tests.golden.golden import locate

MODULES = sorted(p.relative_to(ROOT) for p in (ROOT / "ipv2_bench").rglob("*.py"))
BOARDS = ROOT / "leaderboards"
EARLIER = "Computed by an earlier version of this program (commit "


class Page(HTMLParser):
    """Anchors of a page, what it links to, and what a browser loads for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links, self.loaded = {""}, [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        self.anchors |= {given[k] for k in ("id", "name") if k in given}
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        fetched = tag == "link" and not {"canonical", "next", "prev"} & set(given.get("rel", "").split())
        self.loaded += [given["href"]] if fetched else []
        self.loaded += [given[k] for k in ("src", "srcset", "poster", "data") if given.get(k) and k in given]
        self.loaded += re.findall(r"url\(([^)]+)\)", given.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", "docs/mkdocs.yml", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {p: Page(p.read_text(encoding="utf-8")) for p in site.rglob("*.html")}


def test_every_public_module_has_a_page_of_its_own(site: Path) -> None:
    public = [m for m in MODULES if not any(p.startswith("_") and p != "__init__.py" for p in m.parts)]
    assert len(public) > 60
    for module in public:
        name = ".".join(module.with_suffix("").parts).removesuffix(".__init__")
        text = (site / "reference" / f"{name}.html").read_text(encoding="utf-8")
        assert f'id="{name}"' in text
        if module.name != "__init__.py":
            documented = re.findall(r'class="doc doc-object doc-(?:class|function|attribute)"', text)
            assert documented, f"{name} shows nothing"


def test_parameters_that_share_a_text_have_their_own_defaults(site: Path) -> None:
    text = (site / "reference" / "ipv2_bench.denoisers.iterative.corediff.html").read_text(encoding="utf-8")
    rows = [
        re.sub(r"<[^>]+>", " ", row).split()
        for row in re.findall(r"<tr class=\"doc-section-item\">(.*?)</tr>", text, re.S)
    ]
    defaults = {row[0]: row[-1] for row in rows if row}
    assert (defaults["lr"], defaults["ema_decay"], defaults["ema_every"]) == ("0.0002", "0.995", "10")
    assert (defaults["width"], defaults["modulator"]) == ("64", "32")


def test_every_notebook_and_leaderboard_has_a_page(site: Path) -> None:
    for path in [*(ROOT / "notebooks").glob("*.ipynb"), *BOARDS.glob("*/*.md"), *BOARDS.glob("*/*.html")]:
        assert (site / path.relative_to(ROOT).with_suffix(".html")).is_file()


def test_every_board_links_its_report(site: Path, pages: dict[Path, Page]) -> None:
    for report in BOARDS.glob("*/*.html"):
        address = report.relative_to(ROOT).as_posix()
        assert address in pages[site / "index.html"].links, "not in the navigation"
        for table in report.parent.glob("*.md"):
            assert report.name in pages[site / table.relative_to(ROOT).with_suffix(".html")].links


def test_every_command_has_its_help_and_examples(site: Path) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", (site / "commands.html").read_text(encoding="utf-8")))
    for group, modules in command_modules().items():
        assert group in text.lower()
        for name, module in modules.items():
            assert f"usage: ipv2-bench {name} " in text and module.HELP[1:] in text
            assert module.EXAMPLES.splitlines()[0].split("  ")[0] in text


def test_every_measure_is_in_the_tables(site: Path) -> None:
    text = html.unescape((site / "results.html").read_text(encoding="utf-8"))
    for column in catalogue().columns.values():
        assert f"<td><code>{column.name}</code></td>" in text and f"<td>{column.explanation}</td>" in text, column.name


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for page, content in pages.items():
        if page.name == "404.html":  # its links are those of the site's root
            continue
        for link in [*content.links, *content.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors if target in pages else {"", parts.fragment}
            if not target.is_file() or unquote(parts.fragment) not in known:
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken
    assert sum(len(p.links) for p in pages.values()) > 5000


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    away = [
        f"{p.relative_to(site)}: {x}" for p, page in pages.items() for x in page.loaded if re.match(r"(\w+:)?//", x)
    ]
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        away += [f"{path.name}: {x}" for x in re.findall(r"(?:url\(|@import\s+)[\"']?((?:\w+:)?//[^\"')\s]+)", text)]
    assert not away
    # The theme would fetch its renderer of diagrams, were there one.
    assert not [p for p in site.rglob("*.html") if 'class="mermaid"' in p.read_text(encoding="utf-8")]


def test_no_page_tells_of_this_machine(site: Path) -> None:
    for path in [*site.rglob("*.html"), *site.rglob("search_index.*")]:
        text = path.read_text(encoding="utf-8")
        assert str(ROOT) not in text and str(site) not in text


SEARCH = """(() => {
  const field = document.querySelector("[data-md-component=search-query]");
  field.focus();
  field.value = "calibrate";
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }));
})()"""
RESULTS = """new Promise(done => {
  const look = () => {
    const links = [...document.querySelectorAll(".md-search-result__link")].map(a => a.href.split("/").pop());
    links.length ? done(links) : setTimeout(look, 50);
  };
  look();
})"""


@pytest.mark.skipif(chromium.find() is None, reason="there is no Chromium here")
@pytest.mark.parametrize("page", ["index.html", "reference/ipv2_bench.data.pair.html"])
def test_search_works_from_a_folder(page: str, site: Path, tmp_path: Path) -> None:
    with chromium.Chromium(tmp_path / "profile") as browser:
        browser.open(site / page)
        browser.run(SEARCH)
        links = browser.run(RESULTS)
        assert any(link.startswith("data.html") for link in links[:5]), "the guide comes before the reference"
        assert browser.messages == []
        assert not [url for url in browser.requests if not url.startswith(("file:", "data:"))]


def texts() -> dict[str, str]:
    """The pages by name."""
    return {page.name: page.read_text(encoding="utf-8") for page in PAGES}


@pytest.mark.parametrize("name", texts())
def test_abbreviations_are_spelled_out(name: str) -> None:
    assert unexplained(texts()[name]) == []


def test_every_command_and_setting_exists() -> None:
    lines, targets = [line for text in texts().values() for line in command_lines(text)], make_targets()
    assert len(lines) > 40
    for line in lines:
        check_command(line, targets)


def test_every_setting_in_prose_exists() -> None:
    pattern = r"`((?:data|train|run|noise|metrics|wandb)\.\w+)"
    names = [name for text in texts().values() for name in re.findall(pattern, text)]
    assert len(names) > 40
    for name in names:
        check_setting(name)


def test_every_version_exists() -> None:
    names = re.findall(r"`(ipv2_bench(?:\.\w+)+\.(?:\w+_)?(?:VERSION|SCHEMA))`", texts()["architecture.md"])
    assert len(names) > 10
    for name in names:
        assert isinstance(locate(name), int)


def test_the_strategy_example_runs() -> None:
    names: dict = {}
    exec(blocks(texts()["strategies.md"], "python")[0], names)
    assert names["training"].input.shape == names["label"].shape == (1, 1, 64, 64)
    assert names["strategy"].name == "IPv1+1 [both_outside]"


def test_the_checkpoint_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"widths": [8, 16], "steps": 2}
    path = tmp_path / "runs" / "phantom" / "cells" / "CELL" / "model.safetensors"
    save_denoiser(FlowMatching(**options), path, "fm", options, window_hu="-1000 400")
    monkeypatch.chdir(tmp_path)
    names: dict = {"low": torch.rand(2, 1, 20, 23)}
    exec(blocks(texts()["denoisers.md"], "python")[0], names)
    assert names["restored"].shape == (2, 1, 20, 23) and names["notes"]["window_hu"] == "-1000 400"


def test_the_denoiser_example_is_a_denoiser() -> None:
    names: dict = {}
    exec(named_files(texts()["extending.md"])["my_denoiser.py"], names)
    denoiser = names["Halving"](width=4)
    pair = TrainingPair(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
    assert torch.isfinite(denoiser.loss(pair, torch.Generator()))
    assert denoiser.restore(pair.input).shape == pair.input.shape


def test_the_extensions_work_together(tmp_path: Path) -> None:
    files = named_files(texts()["extending.md"])
    assert set(files) == {
        *("my_denoiser.py", "my_strategy.py", "my_measure.py", "my_source.py", "my_config.yaml", "my_table.yaml", "my_command.py")
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    quick = ("--quiet", "wandb.mode=disabled", "train.steps=2", "data.levels=4", "run.processes=1")
    program.run(tmp_path, "reproduce", "--config", "my_config.yaml", *quick)
    rows = program.table(tmp_path / "leaderboards" / "round_body" / "my_table.csv")
    assert [(r["denoiser"], r["strategy"]) for r in rows] == [
        ("identity", "IPv2"),
        *(("Halving", strategy) for strategy in ("IPv1", "IPv2", "IPv2 [both_outside]", "my_strategy:Mixed [share=0.25]")),
    ]
    assert all(float(r["gradient_error_hu"]) > 0 for r in rows)


def test_the_command_example_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = types.ModuleType("my_command")
    exec(named_files(texts()["extending.md"])["my_command.py"], vars(module))
    assert all(hasattr(module, name) for name in ("HELP", "EXAMPLES"))
    parser = argparse.ArgumentParser()
    module.arguments(parser)
    assert module.run(parser.parse_args([str(tmp_path)])) == 0
    assert capsys.readouterr().out == "0\n"


def test_yaml_examples_hold() -> None:
    for text in texts().values():
        for block in blocks(text, "yaml"):
            tree = yaml.safe_load(block)
            if "rows" in tree:
                assert set(tree) <= set(KEYS)
            for row in tree.get("rows", []):
                if ":" not in row["strategy"]:
                    Strategy.from_name(row["strategy"], **{k: v for k, v in row.items() if k == "background"})
            for name, options in tree.get("denoisers", {}).items():
                cls = registry.find("ipv2_bench.denoisers", options.pop("variant_of", name), Denoiser)
                assert set(options) <= set(registry.options(cls, Denoiser))


def test_the_table_of_denoisers_is_whole() -> None:
    table = texts()["denoisers.md"].split("## Options")[0]
    shown = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", table, re.M))
    assert sorted(shown) == registry.names("ipv2_bench.denoisers")
    for name, calls in shown.items():
        assert registry.find("ipv2_bench.denoisers", name, Denoiser)().network_calls == int(calls)


def options_column(section: str) -> list[str]:
    """Names of options, without a dot, in the last column of a section's table of ``published.md``."""
    text = texts()["published.md"].split(f"## {section}\n")[1].split("\n## ")[0]
    cells = re.findall(r"\| ([^|]+) \|$", text, re.M)[1:]
    assert len(cells) >= 4
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_option_in_the_tables_exists() -> None:
    of = {"Flow Matching and FFM": ("fm", "ffm"), "Cold Diffusion": ("cold_diffusion",), "CoreDiff": ("corediff",)}
    for section, keys in of.items():
        for name in keys:
            known = registry.options(registry.find("ipv2_bench.denoisers", name, Denoiser), Denoiser)
            assert set(options_column(section)) <= set(known), section
    known = {*MaskRule.__dataclass_fields__, *Purified.__dataclass_fields__}
    assert set(options_column("Strategies")) <= known


def test_every_strategy_is_in_the_table() -> None:
    text = texts()["strategies.md"]
    table = text[text.index("## Formulas") : text.index("## Masks")]
    shown = re.findall(r"^\| `([^`]+)` \|", table, re.M)
    assert sorted(shown) == sorted(names())


SHOWN = {
    "FD (randconv)": ("fd_randconv", 2),
    "PSNR dB": ("psnr_db", 1),
    "SSIM": ("ssim", 3),
    "RMSE HU": ("rmse_hu", 0),
    "at the rim": ("rmse_hu_rim", 0),
    "noise in lung HU": ("noise_hu_lung", 0),
    "nodule contrast": ("nodule_contrast", 2),
}
"""Headings of the tables of the page on results → column of the boards, and decimals."""


@pytest.mark.parametrize(
    ("board", "section"),
    [
        ("phantom", "## On the digital thorax"),
        ("native", "## On real CT at its own resolution"),
    ],
)
def test_results_are_those_of_the_boards(board: str, section: str) -> None:
    text = re.split(r"\n###? ", texts()["results.md"].split(f"{section}\n")[1])[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    heading, _, *rows = lines
    on_board = {(r["denoiser"], r["strategy"]): r for r in program.table(committed_boards() / board / "table1.csv")}
    assert len(rows) == len(on_board) and set(heading[2:]) <= set(SHOWN)
    for denoiser, training, *values in rows:
        measured = on_board[denoiser, training.replace(", both outside", " [both_outside]")]
        for name, value in zip(heading[2:], values, strict=True):
            column, decimals = SHOWN[name]
            assert abs(float(value) - float(measured[column])) <= 0.51 * 10**-decimals, (denoiser, training, name)


def test_what_a_second_seed_changes_is_on_its_board() -> None:
    text = re.split(r"\n###? ", texts()["results.md"].split("### A second training seed\n")[1])[0]
    lines = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    heading, _, *rows = lines
    measured: dict[tuple[str, str], dict[int, float]] = {}
    for path in (committed_boards() / "phantom_seeds" / "rows").glob("*-NDCT-*.json"):
        row = json.loads(path.read_text(encoding="utf-8"))
        if row["denoiser"]:
            measured.setdefault((row["denoiser"]["title"], row["strategy"]), {})[row["seed"]] = row["measures"]["rmse_hu"]
    assert [row[0] for row in rows] == ["FM", "CoreDiff", "Cold Diffusion", "FFM"] and len(heading) == 5
    for denoiser, *values in rows:
        for training, value in zip(heading[1:], values, strict=True):
            of_seeds = measured[denoiser, training.replace(", both outside", " [both_outside]")]
            for seed, shown in enumerate(re.sub(r"[* ]", "", value).split(",")):
                assert abs(float(shown) - of_seeds[seed]) <= 0.51, (denoiser, training, seed)


def test_ways_out_of_misalignment_are_those_of_the_boards() -> None:
    section = texts()["results.md"].split("## Ways out of misalignment\n")[1].split("\n## ")[0]
    tables = [part.splitlines() for part in re.findall(r"(?:^\|.*\n)+", section, re.M)]
    of_table_4, on_real_ct, _, of_table_5 = ([[c.strip() for c in x.strip("|").split("|")] for x in lines] for lines in tables)
    boards = {
        name: {(r["denoiser"], r["strategy"]): r for r in program.table(committed_boards() / board / "table4.csv")}
        for board, name in (("rivals_half", ", half"), ("rivals", ""), ("rivals_double", ", twice"))
    }
    columns = [(d, b) for d in ("FM", "U-Net") for b in boards]
    assert of_table_4[0][1:] == [f"{d}{b}" for d, b in columns]
    assert len(of_table_4) == 2 + len({strategy for d, strategy in boards[""] if d == "FM"})
    for training, *values in of_table_4[2:]:
        strategy = training.replace(", both outside", " [both_outside]")
        for (d, b), value in zip(columns, values, strict=True):
            assert abs(float(value) - float(boards[b][d, strategy]["rmse_hu"])) <= 0.51, (training, d, b)
    native = {(r["denoiser"], r["strategy"]): r for r in program.table(committed_boards() / "native_rivals" / "table4.csv")}
    untouched, ceiling = (float(native[row]["rmse_hu"]) for row in (("identity", "raw"), ("U-Net", "oracle")))
    measured = ("rmse_hu_rim", "noise_hu_tissue", "ttf50_900", "laa950_error")
    assert len(on_real_ct) == len(of_table_4) and len(on_real_ct[0]) == 4 + len(measured)
    for training, fm, *values in on_real_ct[2:]:
        own = native["U-Net", strategy := training.replace(", both outside", " [both_outside]")]
        way = 100 * (untouched - float(own["rmse_hu"])) / (untouched - ceiling)
        fidelity = [float(row["rmse_hu"]) for row in (native["FM", strategy], own)]
        expected = [*fidelity, way, *(float(own[name]) for name in measured)]
        for value, number in zip([fm, *values], expected, strict=True):
            assert abs(float(value) - number) <= 0.51 * 10.0 ** -len(value.partition(".")[2]), (training, value, number)
    rows = {r["denoiser"]: r for r in program.table(committed_boards() / "rivals" / "table5.csv")}
    assert [r[0] for r in of_table_5[2:]] == list(rows)
    for denoiser, *values in of_table_5[2:]:
        for name, value in zip(of_table_5[0][1:], values, strict=True):
            column, decimals = SHOWN[name]
            assert abs(float(value) - float(rows[denoiser][column])) <= 0.51 * 10**-decimals, (denoiser, name)


def markdown_outputs() -> dict[str, str]:
    """Markdown that the program wrote: files of boards, and outputs of notebooks."""
    texts_by_name = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in BOARDS.glob("*/*.md")}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        data = [o.get("data", {}) for cell in cells for o in cell.get("outputs", [])]
        texts_by_name[path.name] = "\n\n".join("".join(d["text/markdown"]) for d in data if "text/markdown" in d)
    return texts_by_name


@pytest.mark.parametrize("name", markdown_outputs())
def test_tables_have_no_gaps(name: str) -> None:
    lines = markdown_outputs()[name].splitlines()
    for i, line in enumerate(lines):
        if line.startswith("|---"):
            assert i and lines[i - 1].startswith("|"), "no heading above the rule"
            assert i + 1 < len(lines) and lines[i + 1].startswith("|"), "no row below the rule"


@pytest.mark.parametrize("board", sorted({p.parent.parent.name for p in BOARDS.glob("*/rows/*.json")}))
def test_boards_of_earlier_code_say_so(board: str) -> None:
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in (BOARDS / board / "rows").glob("*.json")]
    earlier = {row["schema"] < SCHEMA or row["provenance"]["versions"] != shared_versions() for row in rows}
    marked = {}
    for path in (p for p in (BOARDS / board).iterdir() if p.suffix in (".md", ".html")):
        text = path.read_text(encoding="utf-8")
        marked[path.name] = EARLIER in (text.partition("\n")[0] if path.suffix == ".md" else text)
    assert len(earlier) == 1, "some rows are of earlier code: compute them anew"
    assert set(marked.values()) == earlier, marked
