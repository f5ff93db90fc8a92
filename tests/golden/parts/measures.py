"""Every measure on a small fixed image set, each guarded by its own version."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ipv2_bench.backbones import efficientnet_lite0
from ipv2_bench.metrics import offline_features
from ipv2_bench.metrics.base import EDGE_CONTRASTS, FeatureExtractor, FeatureSpace, LabelMeasure, TruthMeasure
from ipv2_bench.metrics.catalogue import Catalogue, catalogue
from ipv2_bench.metrics.extractors import (
    BackboneFeatures,
    ClipFeatures,
    DinoFeatures,
    InceptionFeatures,
    RadImageNetFeatures,
)
from ipv2_bench.metrics.image_set import Measurements, Measuring, distance_replicates, distances
from ipv2_bench.metrics.measures import checkerboard, lung_edge, noise_texture, structure
from ipv2_bench.metrics.weights import CLIP, DINOV2, INCEPTION, RADIMAGENET
from ipv2_bench.weights import EFFICIENTNET_LITE0
from tests.golden.chests import PIXEL_MM, SLICES, chests
from tests.golden.golden import Part, summary
from tests.metrics.chest import drawn, three_contrasts, truth_of_hu, values_of_hu
from tests.metrics.small_extractors import write_dinov2, write_radimagenet, write_small_clip, write_small_inception

SHARED = "ipv2_bench.metrics.VERSION"
PHYSICS = "ipv2_bench.physics.VERSION"
PURIFICATION = "ipv2_bench.purification.VERSION"

Patch = Callable[[pytest.MonkeyPatch], None]

MEASURES = catalogue().measures
COUNTS = np.array([[2.0, 0, 1, 1, 0, 3, 1, 0], [0, 1, 1, 0, 2, 2, 0, 2], [1, 1, 1, 1, 1, 1, 1, 1]])
"""How often each slice is taken in three resampled sets."""


def _against_truth(key: str) -> dict[str, Any]:
    """Columns of the uLDCT and of denoised images, resampled too, and the statistics that they are computed from."""
    measure = MEASURES[key]
    measuring = Measuring(Catalogue({key: measure}), chests().slice_truths(), chests().normal)
    numbers: dict[str, Any] = {}
    for name, hu in (("low", chests().low_hu), ("denoised", None)):
        measurements = measuring.measure(getattr(chests(), name), PIXEL_MM, hu)
        numbers |= {f"{column}, {name}": value for column, value in measurements.fidelity().items()}
        replicates = measurements.fidelity_replicates(COUNTS)
        numbers |= {f"{column}, {name}, resampled": value for column, value in replicates.items()}
        for statistic, values in measurements.statistics[key].items():
            finite = values[np.isfinite(values).reshape(SLICES, -1).all(1)]
            numbers[f"statistic {statistic}, {name}"] = [len(finite), *np.ravel(finite.mean(0))]
    return numbers


def _of_drawing(key: str, hu: np.ndarray) -> dict[str, Any]:
    """Columns and statistics of one drawn slice [N, N] in HU with an error in whole HU, for what the chests do not show."""
    measure, truth = MEASURES[key], truth_of_hu(hu)
    assert isinstance(measure, TruthMeasure)
    rows, columns = np.indices(hu.shape)
    image = hu + (7 * rows + 3 * columns + rows * columns) % 23 - 9.0
    return {**values_of_hu(measure, image[None], [truth]), **measure.of_slice(image, truth)}


def _lung_edge() -> dict[str, Any]:
    """As the others, and the frequencies of which the column is the ratio."""
    measure = lung_edge.LungEdge()
    truths = chests().slice_truths()
    slices = [measure.of_slice(truth.low_hu, truth) for truth in truths]
    total = {name: np.sum([s[name] for s in slices], axis=0) for name in measure.summed}
    frequencies = [lung_edge.mtf50(total[name], total[f"{name}_count"]) for name in ("edge", "edge_truth")]
    shifts = [lung_edge.piece_shifts(truth.low_hu, truth.hu, truth.anatomy.lung_border) for truth in truths]
    return {**_against_truth("lung_edge"), "MTF50": frequencies, "shifts": np.concatenate(shifts)}


def _against_label() -> dict[str, Any]:
    """Values of two slices, which are enlarged so that the metrics of many scales apply too."""
    measure = MEASURES["structure"]
    assert isinstance(measure, LabelMeasure)
    images, labels = (np.repeat(np.repeat(x[:2], 2, axis=1), 2, axis=2) for x in (chests().denoised, chests().normal))
    return measure.of_images(images, labels)


def _in_feature_space(key: str, build: Callable[[], FeatureExtractor]) -> dict[str, Any]:
    """Features of the label, and all distances of denoised images to it."""
    space = MEASURES[key]
    assert isinstance(space, FeatureSpace)
    extract = build()
    features = {name: extract(getattr(chests(), name)) for name in ("denoised", "normal")}
    images, label = (Measurements(Catalogue({key: space}), {key: f}) for f in features.values())
    numbers = {f"{column} of {space.scale:g}": value for column, value in distances(images, label).items()}
    numbers |= {f"{column}, resampled": value for column, value in distance_replicates(images, label, COUNTS).items()}
    for member, array in enumerate(features["normal"]):
        numbers[f"features, member {member}"] = summary(array)
    return numbers


def _randconv() -> FeatureExtractor:
    return offline_features.RandomConvFeatures(chests().normal[:3])


def _inception() -> FeatureExtractor:
    """The real preparation and a small network, since the real weights are seldom there."""
    with tempfile.TemporaryDirectory() as folder:
        return _on_cpu(InceptionFeatures(write_small_inception(Path(folder)), Path(folder) / INCEPTION.file))


def _clip() -> FeatureExtractor:
    with tempfile.TemporaryDirectory() as folder:
        return _on_cpu(ClipFeatures(write_small_clip(Path(folder)), Path(folder) / CLIP.file))


def _efficientnet() -> FeatureExtractor:
    return _on_cpu(BackboneFeatures(EFFICIENTNET_LITE0, EFFICIENTNET_LITE0.need()))


def _dinov2() -> FeatureExtractor:
    """The real network with weights of our own."""
    with tempfile.TemporaryDirectory() as folder:
        return _on_cpu(DinoFeatures(write_dinov2(Path(folder)), Path(folder) / DINOV2.file))


def _radimagenet() -> FeatureExtractor:
    with tempfile.TemporaryDirectory() as folder:
        return _on_cpu(RadImageNetFeatures(write_radimagenet(Path(folder)), Path(folder) / RADIMAGENET.file))


def _on_cpu(extractor: Any) -> Any:
    extractor.device, extractor.network = torch.device("cpu"), extractor.network.cpu()
    return extractor


def _error_in(key: str) -> Patch:
    """The error in HU times 1.001, as one measure sees it."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        cls: Any = type(MEASURES[key])
        original = cls.of_slice

        def larger(self: Any, hu: np.ndarray, truth: Any) -> dict[str, Any]:
            return original(self, truth.hu + 1.001 * (hu - truth.hu), truth)

        monkeypatch.setattr(cls, "of_slice", larger)

    return patch


def _range_of_ssim(monkeypatch: pytest.MonkeyPatch) -> None:
    import skimage.metrics

    original = skimage.metrics.structural_similarity
    monkeypatch.setattr(
        skimage.metrics, "structural_similarity", lambda x, y, **rest: original(x, y, **{**rest, "data_range": 1.01})
    )


def _transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transfer at which the frequency is read, 0.5005 instead of one half, by way of the transform's first value."""
    original = np.fft.rfft

    def other(*given: Any) -> np.ndarray:
        transform = original(*given)
        transform[0] *= 1.001
        return transform

    monkeypatch.setattr(lung_edge.np.fft, "rfft", other)


def _spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    original = noise_texture.spectral_moments
    monkeypatch.setattr(
        noise_texture, "spectral_moments", lambda error, mask: tuple(1.001 * x for x in original(error, mask))
    )


def _lowest_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_texture, "LOWEST", 1.001 * noise_texture.LOWEST)


def _nyquist(monkeypatch: pytest.MonkeyPatch) -> None:
    original = checkerboard.nyquist_power
    monkeypatch.setattr(checkerboard, "nyquist_power", lambda image: (1.001 * original(image)[0], original(image)[1]))


def _misaligned(monkeypatch: pytest.MonkeyPatch) -> None:
    original = lung_edge.piece_shifts
    monkeypatch.setattr(lung_edge, "piece_shifts", lambda *given: 1.001 * original(*given))


def _statistics_of(key: str) -> Patch:
    """Statistics times 1.001, of a measure that counts pixels or compares contrasts."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        cls: Any = type(MEASURES[key])
        original = cls.of_slice

        def higher(self: Any, hu: np.ndarray, truth: Any) -> dict[str, Any]:
            return {name: 1.001 * value for name, value in original(self, hu, truth).items()}

        monkeypatch.setattr(cls, "of_slice", higher)

    return patch


def _label_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images times 0.999, as every metric sees them."""
    original = structure._metrics()
    darker = {name: partial(_darker, metric) for name, metric in original.items()}
    monkeypatch.setattr(structure, "_metrics", lambda: darker)


def _darker(metric: Callable[[Tensor, Tensor], Any], image: Tensor, label: Tensor) -> Any:
    return metric(0.999 * image, label)


def _standardisation(monkeypatch: pytest.MonkeyPatch) -> None:
    original = offline_features._activate
    monkeypatch.setattr(offline_features, "_activate", lambda y, mean, std: original(y, mean, 1.001 * std))


def _networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_features, "MEMBERS", 2)


def _scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    original = InceptionFeatures.forward
    monkeypatch.setattr(InceptionFeatures, "forward", lambda self, batch: original(self, 1.001 * batch))


def _means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClipFeatures, "mean", tuple(1.001 * x for x in ClipFeatures.mean))


def _means_of_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DinoFeatures, "mean", tuple(1.001 * x for x in DinoFeatures.mean))


def _scaling_of_radimagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    original = RadImageNetFeatures.forward
    monkeypatch.setattr(RadImageNetFeatures, "forward", lambda self, batch: original(self, 1.001 * batch))


def _grey_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "DEVIATION", 1.001 * efficientnet_lite0.DEVIATION)


def _part(key: str, values: Callable[[], dict[str, Any]], cases: dict[str, Patch], others: tuple[str, ...]) -> Part:
    cls = type(MEASURES[key])
    # Features and structure metrics are computed in float32.
    return Part(f"measure_{key}", f"{cls.__module__}.{cls.__qualname__}.version", values, cases, others, rtol=1e-4)


TRUTH_VERSIONS = (SHARED, PURIFICATION, PHYSICS)
TRUTH_CASES: dict[str, dict[str, Patch]] = {
    "image_error": {"error": _error_in("image_error"), "range of SSIM": _range_of_ssim},
    "region_noise": {"error": _error_in("region_noise")},
    "noise_texture": {"spectrum": _spectrum, "lowest frequency": _lowest_frequency},
    "nodules": {"error": _error_in("nodules"), "contrast": _statistics_of("nodules")},
    "checkerboard": {"power": _nyquist},
    "emphysema": {"share": _statistics_of("emphysema")},
    "lung_spectrum": {"error": _error_in("lung_spectrum")},
    "hallucination": {"pixels": _statistics_of("hallucination")},
}
SPACES: dict[str, tuple[Callable[[], FeatureExtractor], dict[str, Patch]]] = {
    "randconv": (_randconv, {"standardisation": _standardisation, "networks": _networks}),
    "inception": (_inception, {"scaling": _scaling}),
    "clip": (_clip, {"means": _means}),
    "efficientnet_lite0": (_efficientnet, {"grey levels": _grey_levels}),
    "dinov2": (_dinov2, {"means": _means_of_imagenet}),
    "radimagenet": (_radimagenet, {"scaling": _scaling_of_radimagenet}),
}


PARTS = [
    *(
        _part(key, partial(_against_truth, key), cases, TRUTH_VERSIONS)
        for key, cases in TRUTH_CASES.items()
    ),
    _part("lung_edge", _lung_edge, {"transfer": _transfer, "shifts": _misaligned}, TRUTH_VERSIONS),
    _part("tissue_bias", lambda: _of_drawing("tissue_bias", drawn()[0]), {"error": _error_in("tissue_bias")}, TRUTH_VERSIONS),
    _part(
        "task_transfer",
        lambda: _of_drawing("task_transfer", three_contrasts(dict.fromkeys(EDGE_CONTRASTS, 1.0))),
        {"profiles": _statistics_of("task_transfer")},
        TRUTH_VERSIONS,
    ),
    _part("structure", _against_label, {"images": _label_metrics}, (SHARED,)),
    *(
        _part(key, partial(_in_feature_space, key, build), cases, (SHARED, PHYSICS))
        for key, (build, cases) in SPACES.items()
    ),
]
