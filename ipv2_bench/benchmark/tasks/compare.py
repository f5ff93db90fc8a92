"""A new denoiser beside the baselines: same data, budget, seeds and measures."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.lines import FIDELITY, OFFLINE, Line, better
from ipv2_bench.benchmark.out_folder import write_text
from ipv2_bench.benchmark.render import heading
from ipv2_bench.benchmark.reproduce import Outcome, run_tables
from ipv2_bench.benchmark.tables import PUBLISHED_METRICS, Table, TableRow
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy

BASELINES = ("fm", "ffm", "cold_diffusion", "corediff", "identity")
COST = ("seconds_per_slice", "network_calls", "inference_memory_mb")


def compare(
    config: Config, denoisers: Sequence[str], strategy: str, background: str, progress: bool = True
) -> tuple[str, Outcome]:
    """Train and measure denoisers as the baselines were, and say where each differs from them.

    Baselines that are complete with these settings are used again. Tables, rows and pictures appear under
    ``leaderboards/<name>/compare_<denoiser>.*``.

    Parameters
    ----------
    config
        Data, budget, seeds.
    denoisers
        Registry keys, names of variants, or ``package.module:Class``.
    strategy, background
        Of the training pairs, and its rule of module 1.
    progress
        Show progress bars.

    Returns
    -------
    tuple
        Markdown, and what :func:`~ipv2_bench.benchmark.reproduce.run_tables` gave.

    Raises
    ------
    InputError
        When a name is unknown or the data are not usable.
    """
    if not denoisers or not all(denoisers):
        raise InputError("no denoiser to compare: name one, such as --denoiser my_package.my_module:MyDenoiser")
    chosen = Strategy.from_name(strategy, background=background)
    names = [*(b for b in BASELINES if b not in denoisers), *dict.fromkeys(denoisers)]
    key = "compare_" + re.sub(r"\W+", "-", "-".join(d.rpartition(":")[2] for d in denoisers))
    title = f"{', '.join(denoisers)} beside the baselines under {chosen.name}"
    rows = tuple(TableRow("NDCT", n, chosen) for n in names)
    table = Table(key, title, "denoised", rows, {}, newcomers=tuple(denoisers))
    outcome = run_tables(config, [table], progress)
    found = outcome.lines[key]
    ours = [line for line in found if line.key in denoisers]
    others = [line for line in found if line.key not in denoisers]
    differences = [row for line in ours for other in others for row in _pair(line, other)]
    text = outcome.markdown[key] + "\n" + _markdown(found, ours, others)
    write_text(outcome.out / f"{key}_pairs.csv", _csv(differences))
    write_text(outcome.out / f"{key}_pairs.md", text)
    return text, outcome


METRICS = (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY)


def _pair(line: Line, other: Line) -> list[dict[str, str | float]]:
    rows: list[dict[str, str | float]] = []
    for metric in METRICS:
        if metric not in line.mean or metric not in other.mean:
            continue
        d = line.less(other, metric)
        rows.append(
            {
                "denoiser": line.denoiser,
                "against": other.denoiser,
                "measure": metric,
                "difference": line.mean[metric] - other.mean[metric],
                "low": d.low if d else float("nan"),
                "high": d.high if d else float("nan"),
                "better": int(better(metric, line.mean[metric], other.mean[metric])),
                "real": verdict(line, other, metric),
            }
        )
    return rows


def verdict(line: Line, other: Line, metric: str) -> str:
    """``yes`` where the interval of the paired difference excludes 0, ``for this seed`` with one training seed, else ``no``."""
    d = line.less(other, metric)
    if d is None or not d.excludes_zero:
        return "no"
    return "yes" if d.tells else "for these seeds" if len(line.seeds) > 1 else "for this seed"


def _csv(rows: list[dict[str, str | float]]) -> str:
    buffer = io.StringIO()
    names = ("denoiser", "against", "measure", "difference", "low", "high", "better", "real")
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: (f"{v:.6g}" if v == v else "") if isinstance(v, float) else v for k, v in row.items()})
    return buffer.getvalue()


def _markdown(found: list[Line], ours: list[Line], others: list[Line]) -> str:
    shown = [m for m in METRICS if all(m in line.mean for line in found)]
    out = ["### Paired differences (95 % interval), and whether they are real", ""]
    out += ["| | " + " | ".join(heading(m) for m in shown) + " |", "|" + "---|" * (len(shown) + 1)]
    for line in ours:
        for other in others:
            cells = []
            for m in shown:
                d, text = line.less(other, m), f"{line.mean[m] - other.mean[m]:+.3g}"
                if d is not None:
                    text += f" [{d.low:.3g}, {d.high:.3g}]"
                real = verdict(line, other, m)
                good = "better" if better(m, line.mean[m], other.mean[m]) else "worse"
                cells.append(
                    f"{text}: {good if real != 'no' else 'not sure'}" + ("" if real in ("yes", "no") else f", {real}")
                )
            out.append(f"| {line.denoiser} against {other.denoiser} | " + " | ".join(cells) + " |")
    out += ["", "### What denoising a slice costs", ""]
    out += ["| denoiser | seconds | network calls | memory MB |", "|---|---|---|---|"]
    out += [
        f"| {line.denoiser} | " + " | ".join(f"{line.mean[k]:.3g}" if k in line.mean else "–" for k in COST) + " |"
        for line in found
    ]
    return "\n".join(out) + "\n"


TEMPLATE = '''"""A denoiser for IPv2-Bench: NAME. Every method that must be there is there; change what you like."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser


class NAME(Denoiser):
    """One line that says what it is."""

    title = "NAME"  # its name in the tables
    divisor = 1  # height and width that the network takes are multiples of this; slices are padded and cropped for you

    def __init__(self, width: int = 32, depth: int = 5, **options: object) -> None:
        # Keyword options can be set from the command line: denoisers."MODULE:NAME".width=64
        super().__init__(**options)  # lr, schedule, seed, averaging: leave them to the base class
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Training loss of a batch. ``pair.input`` and ``pair.target`` are [B, 1, H, W] in [0, 1] of the HU window."""
        # Draw random numbers from `generator` alone, so that a run can be repeated.
        return F.mse_loss(self._restored(pair.input), pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """uLDCT [B, 1, H, W] in [0, 1] → denoised, the same shape. Iterative ones set ``network_calls``, too."""
        return self._restored(low)

    def _restored(self, x: Tensor) -> Tensor:
        return x - self.network(x)
'''


def new_denoiser(name: str, folder: Path) -> str:
    """Write a file with a denoiser that runs; the commands that use it come back.

    Raises
    ------
    InputError
        When the name is no class name, or the file is there.
    """
    if not name.isidentifier() or name.startswith("_"):
        raise InputError(f"'{name}' is no name of a class: use letters and digits, such as MyDenoiser")
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    path = folder / f"{module}.py"
    if path.exists():
        raise InputError(f"{path.name} is there already: choose another name, or remove it")
    path.write_text(TEMPLATE.replace("MODULE", module).replace("NAME", name[0].upper() + name[1:]), encoding="utf-8")
    return (
        f"wrote {path.name}; from this folder:\n"
        f"  ipv2-bench compare --denoiser {module}:{name[0].upper() + name[1:]} --strategy IPv2\n"
        f"  ipv2-bench train --denoiser {module}:{name[0].upper() + name[1:]} --strategy IPv2"
    )
