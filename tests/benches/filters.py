"""What simple filters reach on a configuration's test slices, the floor for every denoiser: ``make bench-filters``.

The strength of each filter is the one with the smallest error on training slices; the test slices are filtered once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.prepared import Slices
from ipv2_bench.benchmark.provenance import commit, packages
from ipv2_bench.denoisers.nl_means import noise_level
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_json

CHOSEN_ON = 48
"""Training slices that a strength is chosen on, spread over all training patients."""


@dataclass(frozen=True)
class Filter:
    """A filter with one strength.

    Attributes
    ----------
    title
        Name in the table.
    strength
        What the strength is, for the table.
    strengths
        Values that are tried, rising.
    apply
        Slice [N, N] in [0, 1] and strength → the slice filtered.
    """

    title: str
    strength: str
    strengths: tuple[float, ...]
    apply: Callable[[np.ndarray, float], np.ndarray]


def non_local_means(image: np.ndarray, strength: float) -> np.ndarray:
    """Non-local means with ``h`` in units of the slice's estimated noise; patches of 5, searched for within 6 pixels."""
    sigma = noise_level(image)
    return denoise_nl_means(image, patch_size=5, patch_distance=6, h=strength * sigma, sigma=sigma, fast_mode=True)


def rising(lowest: float, highest: float, n: int = 14) -> tuple[float, ...]:
    """``n`` strengths at equal ratios."""
    return tuple(float(f"{x:.2g}") for x in np.geomspace(lowest, highest, n))


FILTERS = (
    Filter("Gaussian", "σ in pixels", rising(0.3, 3.0), gaussian_filter),
    Filter(
        "total variation", "weight", rising(0.01, 0.5), lambda image, weight: denoise_tv_chambolle(image, weight=weight)
    ),
    Filter("non-local means", "h per noise", rising(0.5, 12.0, 10), non_local_means),
)


def rmse_hu(images: np.ndarray, truth: np.ndarray, width: float) -> np.ndarray:
    """Root mean square error of each slice in HU, [n], of images in [0, 1] that are clipped to it as the boards' are."""
    error = np.clip(images, 0.0, 1.0).astype(np.float64) - truth
    return np.sqrt((error**2).mean((1, 2))) * width


def floor_of(config: Config, progress: bool = True) -> dict[str, Any]:
    """The uLDCT as it is and each filter: strength, and RMSE in HU of the training slices it was chosen on and the test slices.

    Raises
    ------
    InputError
        When the data's truth is not known.
    """
    opened = Slices.open(config, progress)
    slices, split, width = opened.slices, opened.split, opened.window.width
    if slices.truth is None:
        raise InputError(f"data.source {config.data.source} knows no truth: use phantom or virtual_scan")
    spread = np.linspace(0, len(split.train) - 1, min(CHOSEN_ON, len(split.train))).round().astype(int)
    low, truth, low_train, truth_train = (
        np.stack([images[i] for i in indices]).astype(np.float64)
        for indices in (split.test, split.train[spread])
        for images in (slices.low, slices.truth)
    )
    patients = np.array([slices.patient[i] or f"slice {i}" for i in split.test])

    def line(title: str, strength: float | None, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
        of_patients = [float(test[patients == p].mean()) for p in dict.fromkeys(patients)]
        return {
            "filter": title,
            "strength": strength,
            "rmse_hu_training": round(float(train.mean()), 2),
            "rmse_hu": round(float(test.mean()), 2),
            "rmse_hu_of_patients": [round(x, 2) for x in of_patients],
        }

    lines = [line("none (uLDCT)", None, rmse_hu(low_train, truth_train, width), rmse_hu(low, truth, width))]
    for chosen in FILTERS:

        def error(images: np.ndarray, targets: np.ndarray, strength: float, chosen: Filter = chosen) -> np.ndarray:
            return rmse_hu(np.stack([chosen.apply(x, strength) for x in images]), targets, width)

        errors = [error(low_train, truth_train, strength) for strength in chosen.strengths]
        best = int(np.argmin([e.mean() for e in errors]))
        if best in (0, len(errors) - 1):
            raise InputError(
                f"{chosen.title}: the best strength, {chosen.strengths[best]:g}, is at an end of those tried: try more"
            )
        strength = chosen.strengths[best]
        named = f"{chosen.title} ({chosen.strength})"
        lines.append(line(named, strength, errors[best], error(low, truth, strength)))
    return {
        "configuration": config.name,
        "data": slices.manifest,
        "training_slices": len(low_train),
        "test_slices": len(low),
        "test_patients": len(set(patients)),
        "filters": lines,
        "commit": commit(),
        "packages": packages(),
    }


def markdown(result: dict[str, Any]) -> str:
    """The result as a table."""
    head = f"{result['configuration']}: {result['test_slices']} test slices of {result['test_patients']} patients, strengths "
    text = [head + f"chosen on {result['training_slices']} training slices.", ""]
    text += [
        "| filter | strength | RMSE HU, training | RMSE HU, test | of each test patient |",
        "|---|---|---|---|---|",
    ]
    for x in result["filters"]:
        strength = "" if x["strength"] is None else f"{x['strength']:g}"
        of_patients = ", ".join(f"{y:.1f}" for y in x["rmse_hu_of_patients"])
        text.append(
            f"| {x['filter']} | {strength} | {x['rmse_hu_training']:.1f} | {x['rmse_hu']:.1f} | {of_patients} |"
        )
    return "\n".join(text) + "\n"


def main() -> None:
    """Measure, print, and write ``filters_<name>.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboards/performance"))
    parser.add_argument("--config", default="quick", help="name or file of a configuration (default: %(default)s)")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.settings)
    result = floor_of(config)
    write_json(arguments.out / f"filters_{config.name}.json", result)
    print(markdown(result))


if __name__ == "__main__":
    main()
