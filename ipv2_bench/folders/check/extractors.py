"""Which columns can be computed on this machine."""

from __future__ import annotations

from pathlib import Path

from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.measures.spaces.randconv import RandConv
from ipv2_bench.metrics.weights import CLIP, DINOV2, INCEPTION, RADIMAGENET
from ipv2_bench.weights import EFFICIENTNET_LITE0, VARIABLE, cache_folder


def check_extractors(folder: Path | None, download: bool = False) -> str:
    """Which feature extractors are present, in words.

    Parameters
    ----------
    folder
        The user's folder with weights.
    download
        Fetch what is missing first.

    Raises
    ------
    InputError
        When a file is not what its name says, or a download fails.
    """
    measures = catalogue().measures
    offline = ", ".join(c.name for c in RandConv.columns if c.group == "distance")
    lines = [f"{offline}: ready (no weights needed)"]
    for weights in (EFFICIENTNET_LITE0, INCEPTION, CLIP, DINOV2, RADIMAGENET):
        path = weights.find(folder)
        if path is None and download and weights.url and weights.sha256:  # nothing is fetched that cannot be verified
            path = weights.download()
        columns = ", ".join(c.name for c in measures[weights.name].columns if c.group == "distance")
        if path is not None:
            verified = "SHA-256 verified" if weights.sha256 else f"SHA-256 {weights.hash_of(folder)}, not verified"
            lines.append(f"{columns}: ready ({weights.name}, {path}, {verified})")
            continue
        lines.append(f"{columns}: missing, the columns stay empty ({weights.name})")
        lines += [f"    looked for {place}" for place in weights.places(folder)]
        ways = [weights.command] * bool(weights.command) + [f"from {weights.url}"] * bool(weights.url)
        lines.append(f"    get it: {', or '.join(ways)}")
        lines.append(f"    behind a firewall: bring it into {cache_folder()}, or into any folder and set {VARIABLE}")
        lines.append(f"    its SHA-256: {weights.sha256 or 'its authors publish none, so it is taken as it is'}")
    return "\n".join(lines)
