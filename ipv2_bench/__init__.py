"""IPv2-Bench: image purification for ultra-low-dose lung CT, and the denoisers that it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipv2_bench.folders.model import Model

__version__ = "0.1.0"


def load_pretrained(name: str) -> Model:
    """A trained denoiser by its name, such as ``fm-native``; its ``denoise_hu`` takes slices in HU.

    Raises
    ------
    InputError
        When the name is unknown, or its file is absent, altered, or cannot be downloaded.
    """
    from ipv2_bench.denoisers.pretrained.named import weights_file
    from ipv2_bench.folders.model import load_model

    weights_file(name)  # names of denoisers without training are none of these
    return load_model(name)
