"""The documentation builds strictly, is whole, loads nothing from elsewhere, and its commands and examples work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
import yaml

from ipv2_bench import registry
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.cli import parser
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.purification import Strategy

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "pages").glob("*.md"))
MODULES = sorted(p.relative_to(ROOT) for p in (ROOT / "ipv2_bench").rglob("*.py"))


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
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False, timeout=300)
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
    text = (site / "reference" / "ipv2_bench.denoisers.corediff.html").read_text(encoding="utf-8")
    rows = [
        re.sub(r"<[^>]+>", " ", row).split()
        for row in re.findall(r"<tr class=\"doc-section-item\">(.*?)</tr>", text, re.S)
    ]
    defaults = {row[0]: row[-1] for row in rows if row}
    assert (defaults["lr"], defaults["ema_decay"], defaults["ema_every"]) == ("0.0002", "0.995", "10")
    assert (defaults["width"], defaults["modulator"]) == ("64", "32")


def test_every_notebook_and_leaderboard_has_a_page(site: Path) -> None:
    for path in [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "leaderboards").glob("*/*.md")]:
        assert (site / path.relative_to(ROOT).with_suffix(".html")).is_file()


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for page, found in pages.items():
        if page.name == "404.html":  # its links are those of the site's root
            continue
        for link in [*found.links, *found.loaded]:
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
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert str(ROOT) not in text and str(site) not in text


def blocks(language: str) -> list[tuple[str, str]]:
    """Name of the page and text of every code block of a language."""
    pattern = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
    return [(p.name, t) for p in PAGES for kind, t in pattern.findall(p.read_text("utf-8")) if kind == language]


def test_every_command_and_setting_exists() -> None:
    lines = [x.split("#")[0].strip() for _, text in blocks("") for x in text.splitlines()]
    commands = [shlex.split(x)[1:] for x in lines if x.startswith("ipv2-bench")]
    assert len(commands) > 20
    for words in commands:
        given = parser().parse_args(words)
        if given.command != "new-denoiser":
            load_config(ROOT / given.config, [s for s in given.settings if "=" in s])
        if getattr(given, "strategy", ""):
            Strategy.from_name(given.strategy, background=given.background)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {x.split()[1] for x in lines if x.startswith("make ")} <= set(targets)
    assert all(x.split()[0] in ("ipv2-bench", "make") for x in lines if x)


def test_every_setting_in_prose_exists() -> None:
    config = load_config(ROOT / "experiments" / "quick.yaml")
    for page in PAGES:
        for section, key in re.findall(r"`(train|run|noise|metrics|wandb)\.(\w+)", page.read_text("utf-8")):
            assert hasattr(getattr(config, section), key), f"{page.name}: {section}.{key}"


def test_python_examples_run() -> None:
    names: dict = {}
    for page, text in blocks("python"):
        if page != "gpu.md":  # needs several
            exec(text, names)
    assert names["training"].input.shape == names["label"].shape == (1, 1, 64, 64)
    denoiser = names["Halving"](width=4)
    pair = TrainingPair(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
    assert torch.isfinite(denoiser.loss(pair, torch.Generator()))
    assert denoiser.restore(pair.input).shape == pair.input.shape


def test_yaml_examples_hold() -> None:
    for _, text in blocks("yaml"):
        tree = yaml.safe_load(text)
        for row in tree.get("rows", []):
            Strategy.from_name(row["strategy"], **{k: v for k, v in row.items() if k == "background"})
        for name, options in tree.get("denoisers", {}).items():
            cls = registry.find("ipv2_bench.denoisers", options.pop("variant_of", name), Denoiser)
            assert set(options) <= set(registry.options(cls, Denoiser))


def test_the_table_of_denoisers_is_whole() -> None:
    table = (ROOT / "docs" / "pages" / "denoisers.md").read_text("utf-8").split("## Options")[0]
    shown = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", table, re.M))
    assert sorted(shown) == registry.names("ipv2_bench.denoisers", Denoiser)
    for name, calls in shown.items():
        assert registry.find("ipv2_bench.denoisers", name, Denoiser)().network_calls == int(calls)
