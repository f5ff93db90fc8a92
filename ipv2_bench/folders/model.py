"""A trained denoiser from a file or by its name, or one that needs no training."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench import registry
from ipv2_bench.denoisers.pretrained.named import entries, weights_file
from ipv2_bench.errors import InputError
from ipv2_bench.files import sha256_of
from ipv2_bench.physics.intensity import Window

if TYPE_CHECKING:
    from ipv2_bench.denoisers.base import Denoiser

PACKAGE = "ipv2_bench.denoisers"
NO_DEVICE = "not a medical device: for research only, never for diagnosis"


@dataclass(frozen=True)
class Model:
    """A denoiser that is ready to use.

    Attributes
    ----------
    denoiser
        In evaluation mode.
    window
        HU of its images.
    title
        Its name, and the strategy that it was trained under.
    size
        Pixels along a side of its training slices; ``None`` where that is unknown.
    sha256
        Hash of its file, or of its name.
    noise_hu, pixel_mm
        Noise in soft tissue and side of a pixel of its training uLDCT, smallest and largest; ``None`` where that is unknown.
    grain
        The same of how fine that noise is, as kernels leave it; see :func:`~ipv2_bench.purification.noise_level.tissue_grain`.
    """

    denoiser: Denoiser
    window: Window
    title: str
    size: int | None
    sha256: str
    noise_hu: tuple[float, float] | None = None
    pixel_mm: tuple[float, float] | None = None
    grain: tuple[float, float] | None = None

    def denoise_hu(self, hu: np.ndarray, seed: int = 0) -> np.ndarray:
        """Slices in HU, [H, W] or [n, H, W], denoised one after the other; what lies outside of the window is kept.

        Raises
        ------
        ValueError
            For another shape, or a denoiser that sees neighbouring slices.
        """
        import torch

        from ipv2_bench.physics.seeding import torch_generator

        if hu.ndim not in (2, 3) or self.denoiser.context > 1:
            raise ValueError(f"got shape {hu.shape} and a context of {self.denoiser.context}: expected [n, H, W] and 1")
        device = next((p.device for p in self.denoiser.parameters()), torch.device("cpu"))
        done = []
        for i, image in enumerate(np.asarray(hu, np.float32).reshape(-1, *hu.shape[-2:])):
            unit = torch.from_numpy(self.window.unit(image))[None, None].to(device)
            restored = self.denoiser.restore(unit, torch_generator(seed, "denoise", i, device=device))
            done.append(image + (restored - unit)[0, 0].float().cpu().numpy() * self.window.width)
        return np.stack(done).reshape(hu.shape)


def check_checkpoint(checkpoint: str) -> None:
    """Refuse the name of a denoiser that does not exist, and a file that is absent, without importing torch.

    Raises
    ------
    InputError
        A similar name is suggested.
    """
    if _is_name(checkpoint):
        trained = list(entries())
        if checkpoint not in trained:
            registry.refuse_unknown(PACKAGE, checkpoint, "denoiser", trained)
    elif not Path(checkpoint).is_file():
        raise InputError(
            f"the checkpoint {Path(checkpoint).name} does not exist: name a file of ipv2-bench train, or one of "
            f"{', '.join(entries())}"
        )


def _is_name(checkpoint: str) -> bool:
    """Whether it is a denoiser's name; what has a suffix or exists is a file."""
    return not Path(checkpoint).suffix and not Path(checkpoint).exists()


def load_model(checkpoint: str, outside: Collection[str] = ()) -> Model:
    """The denoiser of a file of ``ipv2-bench train``, or one by name: trained, as ``fm-native``, or not, as ``nl_means``.

    A file may ask for a class of another package only where ``outside`` names it.

    Raises
    ------
    InputError
        When the file is unusable or does not state its HU window, or the named denoiser would have to be trained.
    """
    check_checkpoint(checkpoint)
    from ipv2_bench.denoisers.base import Denoiser
    from ipv2_bench.denoisers.shared.checkpoint import load_denoiser

    path = Path(checkpoint)
    if _is_name(checkpoint) and checkpoint in entries():
        path = weights_file(checkpoint)
    elif _is_name(checkpoint):
        cls = registry.find(PACKAGE, checkpoint, Denoiser)  # type: ignore[type-abstract]
        untrained = cls()
        if any(True for _ in untrained.parameters()):
            raise InputError(f"denoiser {checkpoint} has to be trained: name a file of ipv2-bench train, or unet-native")
        name_hash = hashlib.sha256(checkpoint.encode()).hexdigest()
        return Model(untrained.eval(), Window(), cls.title or cls.__name__, None, name_hash)
    denoiser, notes = load_denoiser(path, outside)
    try:
        low, high = map(float, notes["window_hu"].split())
        window, size = Window(low, high), int(notes["size"]) if notes.get("size") else None
    except (KeyError, ValueError):
        raise InputError(
            f"the checkpoint {path.name} does not state its HU window: use one of ipv2-bench train"
        ) from None
    title = " + ".join(x for x in (notes.get("title", type(denoiser).__name__), notes.get("strategy")) if x)
    if _is_name(checkpoint):
        title = checkpoint
    ranges = {name: _range(notes, name) for name in ("noise_hu", "pixel_mm", "grain")}
    return Model(denoiser, window, title, size, sha256_of(path), **ranges)


def _range(notes: dict[str, str], name: str) -> tuple[float, float] | None:
    """Smallest and largest value that a file notes; ``None`` where it does not."""
    try:
        low, high = map(float, notes[name].split())
    except (KeyError, ValueError):
        return None
    return low, high
