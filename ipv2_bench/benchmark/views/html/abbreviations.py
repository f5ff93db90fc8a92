"""The abbreviations of the page, spelled out."""

from __future__ import annotations

import re

ABBREVIATIONS = {
    "CLIP": "contrastive language-image pretraining, a network whose features compare images",
    "CNR": "contrast-to-noise ratio",
    "CT": "computed tomography",
    "FD": "Fréchet distance",
    "FFM": "frequency-domain flow matching",
    "FID": "Fréchet inception distance",
    "FM": "flow matching",
    "HU": "Hounsfield units",
    "IPv1, IPv2": "image purification, versions 1 and 2; +1, +2 and +3: with these modules",
    "KID": "kernel inception distance",
    "MTF": "modulation transfer function; MTF50: the frequency at which it is one half",
    "NDCT": "normal-dose CT",
    "NPS": "noise power spectrum",
    "PSNR": "peak signal-to-noise ratio",
    "randconv": "a feature space of convolutions with random weights",
    "EfficientNet": "EfficientNet-Lite0, a network trained on photographs, whose features compare images",
    "CMMD": "CLIP maximum mean discrepancy; here its kernel in another network's features",
    "LAA−950": "low-attenuation area: share of the lung below −950 HU, the emphysema index",
    "TTF50": "task transfer function: frequency at which the transfer across an edge falls to one half",
    "RMSE": "root mean square error",
    "SSIM": "structural similarity",
    "uLDCT": "ultra-low-dose CT",
}
"""Short form → what it means."""


def abbreviations_in(html: str) -> dict[str, str]:
    """Those of :data:`ABBREVIATIONS` that the text of some HTML has, data of images left out."""
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    return {short: words for short, words in ABBREVIATIONS.items() if any(_holds(text, one) for one in short.split(", "))}


def _holds(text: str, short: str) -> bool:
    """Whether a text has a short form, which a number may follow."""
    return re.search(rf"(?<![A-Za-z]){re.escape(short)}(?![A-Za-z])", text) is not None
