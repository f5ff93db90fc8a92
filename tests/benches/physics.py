"""Speed, memory and accuracy of the physics beside the published pipeline, in one process: ``make bench-physics``."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.transform import iradon, radon

from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.figures import pyplot, save_figure
from ipv2_bench.benchmark.memory import peak_mb
from ipv2_bench.benchmark.plan import denoiser_options, module_2, open_slices
from ipv2_bench.benchmark.provenance import commit, processor
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.slices import write_whole
from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.physics import closed_form
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.projector import ParallelBeam
from ipv2_bench.physics.scanner import (
    PUBLISHED_FLUX,
    PUBLISHED_PATH_SCALE,
    Acquisition,
    line_integrals,
    published_counts,
)
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.add_noise import AddNoise

SIZES = (128, 256, 512, 1024)
VIEWS = 512


def published_pipeline(unit: np.ndarray, seed: int, views: int = VIEWS) -> np.ndarray:
    """The published script's Add Noise on one slice [N, N] in [0, 1], with scikit-image as there; 8-bit steps."""
    degrees = np.arange(views) * (180.0 / views)
    path = radon((unit - unit.min()) / np.ptp(unit), theta=degrees, circle=True) * PUBLISHED_PATH_SCALE
    counts = published_counts(torch.from_numpy(path), torch_generator(seed)).numpy()
    noisy = np.where(counts > 0, -np.log(np.maximum(counts, 1e-6) / PUBLISHED_FLUX), 0.0)
    image = iradon(noisy / PUBLISHED_PATH_SCALE, theta=degrees, filter_name="hann", circle=True)
    return np.floor((image - image.min()) / np.ptp(image) * 255) / 255


PUBLISHED = "published (scikit-image)"
ROADS = (PUBLISHED, "ours", "ours, projection kept")


def road(name: str, size: int, views: int, batch: int, device: str = "cpu", threads: int = 0) -> Callable[[], Any]:
    """Full Add Noise of ``batch`` slices (one for the published road) with ``views`` angles, by one of :data:`ROADS`."""
    if threads:
        torch.set_num_threads(threads)
    window = Window()
    hu = draw_section(Patient.draw(np.random.default_rng(0)), 0.55, size, 400 / size).hu.astype(np.float32)
    unit = torch.from_numpy(window.unit(hu))
    if name == PUBLISHED:
        return partial(published_pipeline, unit.numpy().astype(np.float64), 0, views)
    normal = unit.expand(batch, 1, size, size).contiguous().to(device)
    mm = torch.full((batch,), 400 / size, device=device)
    model = AddNoise(window, Acquisition(1e5, views=views, filter_name="cosine", dose=0.02, inserted=True))
    kept = line_integrals(window.hu(normal[:, 0]), mm, model.acquisition) if name.endswith("kept") else None
    return lambda: model(normal, mm, [torch_generator(0, i, device=device) for i in range(batch)], kept)


def seconds_per_slice(run: Callable[[], Any], slices: int, repeats: int, device: torch.device) -> float:
    """Median seconds per slice after one call to warm up."""
    taken = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken[1:])) / slices


def speed(size: int, device: torch.device, batch: int = 16, published: bool = True) -> list[dict[str, Any]]:
    """Slices per second and peak memory of every road at ``size`` with :data:`VIEWS` angles."""
    lines = []
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    for name in ROADS if published else ROADS[1:]:
        given = (name, size, VIEWS, batch)
        theirs = name == PUBLISHED
        repeats = (
            max(1, min(5, 512 // size)) if theirs else 5 if device.type == "cuda" else max(1, min(5, 1024 // size))
        )
        run = road(*given, device.type)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = seconds_per_slice(run, 1 if theirs else batch, repeats, device)
        if device.type == "cuda":
            memory: float | None = round(torch.cuda.max_memory_allocated() / 2**20, 1)
        else:
            memory = peak_mb(road, *given, "cpu", torch.get_num_threads())
        lines.append(_line(name, size, seconds, memory, "cpu, one thread" if theirs else where))
    return lines


def _line(name: str, size: int, seconds: float, memory: float | None, where: str) -> dict[str, Any]:
    return {
        "method": name,
        "device": where,
        "size": size,
        "slices_per_second": float(f"{1 / seconds:.4g}"),
        "peak_memory_mb": memory,
    }


def growth(lines: list[dict[str, Any]], name: str) -> float:
    """p of the fit ``seconds ∝ N^p·log N`` over the sizes on the last device; 2 is the cost of a fast Fourier transform."""
    mine = [line for line in lines if line["method"] == name and line["device"] == lines[-1]["device"]]
    size = np.array([line["size"] for line in mine], float)
    seconds = np.array([1 / line["slices_per_second"] for line in mine])
    return float(np.polyfit(np.log(size), np.log(seconds / np.log(size)), 1)[0])


def accuracy(size: int = 512, views: int = VIEWS) -> dict[str, float]:
    """Errors against closed forms, ours and scikit-image's on the same work."""
    beam = ParallelBeam(size, views)
    image = closed_form.ellipse_image(size)
    exact = closed_form.ellipse_sinogram(size, beam.angles, beam.detector_px)
    degrees = np.degrees(beam.angles)
    at = np.arange(size) - (size - 1) / 2
    inside = at[:, None] ** 2 + at**2 < (size / 2 - 2) ** 2

    def rms(x: np.ndarray) -> float:
        return float(np.sqrt(np.mean(x**2)))

    ours = beam.project(torch.from_numpy(image)[None])[0].numpy()
    # scikit-image's centre is pixel and cell N // 2.
    cells = np.arange(size) - size // 2
    shifted = closed_form.ellipse_sinogram(size, beam.angles, cells)
    theirs = radon(np.where(inside, image, 0), theta=degrees, circle=True).T
    back = beam.backproject(torch.from_numpy(exact).float()[None])[0].numpy()
    their_back = iradon(shifted.T, theta=degrees, filter_name="ramp", circle=True)
    odd = size + 1
    beam_odd, image_odd = ParallelBeam(odd, views), closed_form.ellipse_image(odd)
    at_odd = np.arange(odd) - odd // 2
    inside_odd = at_odd[:, None] ** 2 + at_odd**2 < (odd / 2 - 2) ** 2
    exact_odd = closed_form.ellipse_sinogram(odd, beam_odd.angles, beam_odd.detector_px)
    back_odd = beam_odd.backproject(torch.from_numpy(exact_odd).float()[None])[0].numpy()
    cells_odd = closed_form.ellipse_sinogram(odd, beam_odd.angles, at_odd)
    their_odd = iradon(cells_odd.T, theta=degrees, filter_name="ramp", circle=True)
    round_trip = beam.backproject(torch.from_numpy(ours)[None])[0].numpy()
    their_trip = iradon(theirs.T, theta=degrees, filter_name="ramp", circle=True)
    found = {
        "projection, relative RMS": rms(ours - exact) / rms(exact),
        "projection, relative RMS, scikit-image": rms(theirs - shifted) / rms(shifted),
        "FBP of the closed form, RMSE": rms((back - image)[inside]),
        "FBP of the closed form, RMSE, scikit-image": rms((their_back - image)[inside]),
        f"FBP of the closed form at {odd}, RMSE": rms((back_odd - image_odd)[inside_odd]),
        f"FBP of the closed form at {odd}, RMSE, scikit-image": rms((their_odd - image_odd)[inside_odd]),
        "FBP of the closed form, error of the mean": abs(back[inside].mean() / image[inside].mean() - 1),
        "projection and FBP, RMSE": rms((round_trip - image)[inside]),
        "projection and FBP, RMSE, scikit-image": rms((their_trip - image)[inside]),
    }
    return {k: float(f"{v:.3g}") for k, v in found.items()}


def noise_spectra(size: int = 128, views: int = 180, draws: int = 200, name: str = "cosine") -> dict[str, np.ndarray]:
    """Radial noise power of FBP of white noise: ours, scikit-image's and the closed form; frequency in cycles per pixel."""
    beam = ParallelBeam(size, views)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((draws, views, beam.detectors)).astype(np.float32)
    ours = beam.backproject(torch.from_numpy(noise), name).numpy()
    degrees, first = np.degrees(beam.angles), (beam.detectors - size) // 2
    few = noise[: max(1, draws // 4), :, first : first + size]
    half = size // 2
    middle = np.s_[half - half // 2 : half + half // 2, half - half // 2 : half + half // 2]
    theirs = np.stack([iradon(x.T, theta=degrees, filter_name=name, circle=True)[middle] for x in few])
    frequency, power = radial_power(ours)
    coarse, their_power = radial_power(theirs)
    return {
        "frequency": frequency,
        "ours": power,
        "closed form": closed_form.noise_power(frequency, views, name),
        "frequency, scikit-image": coarse,
        "scikit-image": their_power,
    }


def radial_power(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean radial power spectrum of images [n, N, N] under a Hann window, at whole multiples of 1/N up to 0.5."""
    size = images.shape[-1]
    taper = np.outer(np.hanning(size), np.hanning(size))
    mean = (np.abs(np.fft.fft2(images * taper)) ** 2).mean(0) / (taper**2).sum()
    f = np.fft.fftfreq(size)
    radius = np.hypot(f[:, None], f[None]) * size
    ring = np.rint(radius).astype(int)
    rings = np.arange(1, size // 2 + 1)
    return np.array([radius[ring == r].mean() for r in rings]) / size, np.array([mean[ring == r].mean() for r in rings])


def share_of_training(path: Path, batches: int = 30) -> dict[str, Any]:
    """How much of a training step of FM under IPv2 goes into purification, on the phantom, one thread on a CPU.

    The configuration gives sizes and budget; its slices are drawn for a few patients only.
    """
    config = load_config(path, ["data.source=phantom", "data.patients=3", "data.levels=8", "data.split=patient"])
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(threads if cuda else 1)
    try:
        with tempfile.TemporaryDirectory() as work:
            config = replace(config, run=replace(config.run, work=work))
            config = replace(config, data=replace(config.data, fractions=(0.4, 0.2, 0.4)))
            window, slices, split = open_slices(config, progress=False)
            cls, options = denoiser_options(config, "fm")
            denoiser = cls(**options).to(device)
            strategy, noise = Strategy.from_name("IPv2"), module_2(config, window)
            data = PairedCTDataModule(slices, split, strategy, noise, config.train.batch_size)
            data.setup("fit")
            if cuda:
                data.integrals = None
            optimiser = torch.optim.Adam(denoiser.parameters(), 1e-4)
            purifying, stepping = [], []
            for i in range(batches + 3):
                begun = _now(device)  # what is kept for purification is read here, too
                batch = next(iter(data.train_dataloader()))
                batch = type(batch)(*(x.to(device) for x in batch))
                pair = data.purify(batch, i)
                purified = _now(device)
                optimiser.zero_grad()
                denoiser.loss(pair, torch_generator(i, device=device)).backward()
                optimiser.step()
                purifying.append(purified - begun)
                stepping.append(_now(device) - begun)
    finally:
        torch.set_num_threads(threads)
    purify, step = float(np.median(purifying[3:])), float(np.median(stepping[3:]))
    return {
        "configuration": path.name,
        "device": torch.cuda.get_device_name() if cuda else "cpu, one thread",
        "purify_ms": round(purify * 1e3, 2),
        "step_ms": round(step * 1e3, 2),
        "share": round(purify / step, 4),
    }


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Measure, print, and write ``physics.{json,md,png}``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("leaderboards/performance"))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="comma-separated (default: %(default)s)")
    given = parser.parse_args()
    sizes = [int(s) for s in given.sizes.split(",")]
    devices = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
    lines = []
    for device in devices:
        for size in sizes:
            lines += speed(size, device, published=device.type == "cpu")
            print(lines[-1], flush=True)
    result = {
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "unmeasured",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit(),
        "views": VIEWS,
        "batch": 16,
        "speed": lines,
        "growth": {k: round(growth(lines, k), 2) for k in ("ours", "ours, projection kept")} if len(sizes) > 2 else {},
        "accuracy": accuracy(),
        "share": share_of_training(Path("experiments") / ("paper.yaml" if torch.cuda.is_available() else "quick.yaml")),
    }
    suffix = "-cuda" if torch.cuda.is_available() else ""
    write_whole(given.out / f"physics{suffix}.json", lambda f: f.write(json.dumps(result, indent=1).encode()))
    write_whole(given.out / f"physics{suffix}.md", lambda f: f.write(_markdown(result).encode()))
    _picture(noise_spectra(), given.out / f"physics{suffix}.png")
    print(_markdown(result))


def _markdown(result: dict[str, Any]) -> str:
    base = {x["size"]: x["slices_per_second"] for x in result["speed"] if x["method"].startswith("published")}
    text = [
        "## Add Noise",
        "",
        f"{result['views']} angles, batches of {result['batch']}, {result['processor']}, GPU: {result['gpu']}.",
        "",
        "| method | device | size | slices/s | × published | peak memory MB |",
        "|---|---|---|---|---|---|",
    ]
    for x in result["speed"]:
        times = f"{x['slices_per_second'] / base[x['size']]:.1f}" if x["size"] in base else ""
        cells = (
            x["method"],
            x["device"],
            x["size"],
            f"{x['slices_per_second']:.4g}",
            times,
            round(x["peak_memory_mb"]),
        )
        text.append("| " + " | ".join(map(str, cells)) + " |")
    text += ["", *(f"Cost of {k}: N^{p} log N." for k, p in result["growth"].items())]
    share = result["share"]
    text += ["", f"Purification takes {share['share']:.1%} of a training step of FM with {share['configuration']}."]
    text += ["", "| accuracy at 512, 512 angles | |", "|---|---|"]
    text += [f"| {k} | {v:.3g} |" for k, v in result["accuracy"].items()]
    picture = "physics.png" if result["gpu"] == "unmeasured" else "physics-cuda.png"
    text += ["", f"![noise power]({picture})", "", "Noise power of FBP of white noise, cosine filter."]
    return "\n".join(text) + "\n"


def _picture(spectra: dict[str, np.ndarray], path: Path) -> None:
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(5.2, 3.4))
    axis.plot(spectra["frequency"], spectra["ours"], label="ours")
    axis.plot(spectra["frequency"], spectra["closed form"], "k--", label="closed form")
    axis.plot(spectra["frequency, scikit-image"], spectra["scikit-image"], label="scikit-image (linear interpolation)")
    axis.set(xlabel="cycles per pixel", ylabel="noise power per variance of a ray, px²")
    axis.legend(fontsize=8)
    figure.tight_layout()
    save_figure(figure, path)


if __name__ == "__main__":
    main()
