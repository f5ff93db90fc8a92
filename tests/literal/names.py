"""Names of our networks' weights in the authors' code, so that the same weights can be given to both."""

import re
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from ipv2_bench.denoisers.networks.corediff_unet import CoreDiffUNet
from ipv2_bench.denoisers.networks.unet import UNet

# Our parts of a residual block (the first five) and of a frequency mixer, and theirs.
BLOCK = {
    "first.0": "norm1",
    "first.2": "conv1",
    "time.1": "temb_proj",
    "second.0": "norm2",
    "second.3": "conv2",
    "skip": "nin_shortcut",
}
MIXER = {
    "local.0": "high_mixer.conv1",
    "local.1": "high_mixer.proj1",
    "pooled.1": "low_mixer.conv",
    "pooled.2": "low_mixer.norm",
    "depthwise": "conv_fuse",
    "spatial": "proj",
    "spectral.amplitude": "freblock.processmag",
    "spectral.phase": "freblock.processpha",
    "fuse": "finalproj",
}
UNET = {
    "time.1": "temb.dense.0",
    "time.3": "temb.dense.1",
    "enter": "conv_in",
    "leave.0": "norm_out",
    "leave.2": "conv_out",
}
COREDIFF = {
    "level1": "conv1",
    "level2": "conv2",
    "level3": "conv3",
    "level4": "conv4",
    "rise1": "up2.up",
    "rise2": "up1.up",
    "leave": "outc.conv",
    "enter": "inc",
}


def replace_start(name: str, parts: Mapping[str, str]) -> str:
    """``name`` with the first of ``parts`` that it begins with replaced; as it is where none fits."""
    for ours, theirs in parts.items():
        if name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    return name


def name_in_unet(name: str, levels: int) -> str:
    """Name of a weight of our U-Net of ``levels`` levels in FFM's code."""
    placed = re.fullmatch(r"(down|middle|up)\.(\d+)\.(.+)", name)
    if placed is None:
        return replace_start(name, UNET)
    way, index, rest = placed[1], int(placed[2]), placed[3]
    block = replace_start(rest, BLOCK)
    if block.startswith("conv2."):
        block = "conv2." + replace_start(block.removeprefix("conv2."), MIXER)
    if way == "middle":
        return f"mid.block_{index + 1}.{block}"
    if way == "down":  # block, down-sampling, block, …
        level = index // 2
        return f"down.{level}.downsample.conv.{rest}" if index % 2 else f"down.{level}.block.0.{block}"
    level = levels - 1 - index // 3  # block, block, up-sampling, … from the deepest level on
    return f"up.{level}.upsample.{rest}" if index % 3 == 2 else f"up.{level}.block.{index % 3}.{block}"


def name_in_corediff(name: str) -> str:
    """Name of a weight of our CoreDiff network in CoreDiff's code."""
    if modulation := re.fullmatch(r"modulation\.(\d+)\.(time|error)\.(.+)", name):
        part = "mlp{}.{}" if modulation[2] == "time" else "adjust{}.model.{}"
        return "unet." + part.format(int(modulation[1]) + 1, modulation[3])
    if name.startswith("time."):
        return f"unet.time_mlp.{name.removeprefix('time.')}"
    theirs = replace_start(name, COREDIFF)
    if stage := re.fullmatch(r"(inc|conv\d)\.(\d+)\.(weight|bias)", theirs):  # every other layer of ours is a ReLU
        theirs = f"{stage[1]}.{int(stage[2]) // 2}.conv.0.{stage[3]}"
    return f"unet.{theirs}"


def public_names(network: nn.Module) -> dict[str, str]:
    """Names of all weights of one of our networks in its authors' code."""
    names = list(network.state_dict())
    if isinstance(network, CoreDiffUNet):
        return {name: name_in_corediff(name) for name in names}
    assert isinstance(network, UNet)
    levels = (len(network.down) + 1) // 2
    return {name: name_in_unet(name, levels) for name in names}


def set_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give our network the ``weights`` by their public names; every one is used, and none is missing."""
    names = public_names(network)
    assert sorted(names.values()) == sorted(weights)
    network.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()})


Literal = TypeVar("Literal", bound=nn.Module)


def with_weights_of(network: nn.Module, literal: Literal) -> Literal:
    """The literal network with a copy of our network's weights, on its device, in its type and mode."""
    weight = next(network.parameters())
    names = public_names(network)
    literal = literal.to(weight)  # first the type, so that no weight is rounded
    literal.load_state_dict({names[ours]: value for ours, value in network.state_dict().items()})
    return literal.train(network.training)


def parameters_like(network: nn.Module, literal: nn.Module) -> list[nn.Parameter]:
    """The literal network's weights in the order of our network's."""
    by_name = dict(literal.named_parameters())
    names = public_names(network)
    return [by_name[names[name]] for name, _ in network.named_parameters()]
