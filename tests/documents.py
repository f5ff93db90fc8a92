"""Documents of the repository as the tests read them: code blocks, commands, prose, and abbreviations."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from ipv2_bench import registry
from ipv2_bench.benchmark.cells.denoisers import PACKAGE as DENOISERS
from ipv2_bench.benchmark.cells.denoisers import check_names
from ipv2_bench.benchmark.config import default_config, load_config
from ipv2_bench.benchmark.prepared import SOURCES
from ipv2_bench.cli import parser
from ipv2_bench.purification import Strategy

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "pages").glob("*.md"))
README = ROOT / "README.md"
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.S | re.M)

SPELLED_OUT = {
    "uLDCT": "ultra-low-dose",
    "NDCT": "normal-dose",
    "CT": "computed tomography",
    "HU": "Hounsfield unit",
    "FM": "Flow Matching",
    "FFM": "Frequency-domain Flow Matching",
    "RMSE": "root mean square error",
    "PSNR": "peak signal-to-noise ratio",
    "SSIM": "structural similarity",
    "FID": "Fréchet inception distance",
    "KID": "kernel inception distance",
    "FD": "Fréchet distance",
    "CLIP": "Contrastive Language–Image Pre-training",
    "MTF50": "modulation transfer function",
    "NPS": "noise power spectrum",
    "CNR": "contrast-to-noise ratio",
    "W&B": "Weights & Biases",
    "DICOM": "Digital Imaging and Communications in Medicine",
}
"""Abbreviations of the field, and the words that a document has before it uses one, or right after it."""


def blocks(text: str, language: str = "") -> list[str]:
    """Code blocks of a language; those without one hold commands."""
    return [body for _, kind, body in BLOCK.findall(text) if kind == language]


def named_files(text: str) -> dict[str, str]:
    """Code blocks that are files: those whose first line is a comment with a file's name."""
    bodies = [body for _, kind, body in BLOCK.findall(text) if kind in ("python", "yaml")]
    return {name[1]: body for body in bodies if (name := re.match(r"# (\w+\.(?:py|yaml))\b", body))}


def prose(text: str) -> str:
    """The text without code, addresses of links and HTML comments."""
    text = BLOCK.sub(" ", text)
    for pattern in (r"`[^`\n]*`", r"\]\([^)]*\)", r"<!--.*?-->"):
        text = re.sub(pattern, " ", text, flags=re.S)
    return text


def command_lines(text: str) -> list[str]:
    """Lines of the blocks that hold commands, without their comments, and commands within the prose that have arguments."""
    lines = [x.split(" #")[0].strip() for body in blocks(text) for x in body.splitlines()]
    inline = re.findall(r"`(make [\w-]+|ipv2-bench [\w-]+ [^`\n]+)`", BLOCK.sub("", text))
    return [x for x in lines if x.startswith(("ipv2-bench ", "make "))] + inline


def check_command(line: str, targets: set[str]) -> None:
    """Check that a command parses, and that its configuration, settings, denoiser and strategy exist.

    ``targets`` are those of the Makefile. Names with a colon are a reader's own, and so are files.
    """
    words = shlex.split(line)
    if words[0] == "make":
        assert words[1] in targets, line
        return
    assert words[0] == "ipv2-bench", line
    given = parser().parse_args(words[1:])
    check_settings(given)
    if getattr(given, "strategy", None) and ":" not in given.strategy:
        Strategy.from_name(given.strategy, background=given.background)
    named = getattr(given, "denoiser", None) or []
    for name in named.split(",") if isinstance(named, str) else named:
        if name and ":" not in name:
            registry.refuse_unknown(DENOISERS, name, "denoiser")


def check_settings(given: argparse.Namespace) -> None:
    """Check the configuration of a parsed command and its settings."""
    words = getattr(given, "settings", None) or getattr(given, "words", None) or []
    settings = [word for word in words if "=" in word and not word.startswith("metrics.extra=")]  # a reader's own
    name = getattr(given, "config", None)
    if name is None:
        source = "virtual_scan" if given.command == "simulate" else "phantom"
        config = default_config(settings, data={"source": source})
    elif name in ("my_config.yaml", "mine.yaml"):
        config = default_config(settings)
    else:
        config = load_config(name, settings)
    if ":" not in config.data.source:
        check_names(config, [])


def check_setting(name: str) -> None:
    """Check that a setting with a dot, such as ``train.steps``, exists."""
    section, key = name.split(".")[:2]
    known = set(type(getattr(default_config(), section)).model_fields)
    if section == "data":
        known |= {option for source in registry.names(SOURCES) for option in registry.options_in_text(SOURCES, source)}
    assert key in known, name


def make_targets() -> set[str]:
    """Targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def unexplained(text: str) -> list[str]:
    """Abbreviations that sentences use before they are spelled out, or that tables use and that are nowhere spelled out."""
    whole = re.sub(r"\s+", " ", prose(text))
    sentences = re.sub(r"\s+", " ", re.sub(r"^\|.*$", " ", prose(text), flags=re.M))
    missing = []
    for short, long in SPELLED_OUT.items():
        used = re.compile(rf"(?<![\w&-]){re.escape(short)}(?![\w-])")
        first = used.search(sentences)
        until = sentences[: first.end() + len(long) + 8] if first else whole if used.search(whole) else long
        if long.lower() not in until.lower():
            missing.append(short)
    return missing
