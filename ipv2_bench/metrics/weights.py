"""Weights of the feature extractors."""

from __future__ import annotations

import tempfile

from ipv2_bench.weights import Weights

INCEPTION = Weights(
    "inception",
    "inception-2015-12-05.pt",
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    (tempfile.gettempdir(),),
)
"""TorchScript Inception v3 of clean-fid, which keeps it in the folder for temporary files."""

CLIP = Weights(
    "clip",
    "ViT-B-32.pt",
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    "https://openaipublic.azureedge.net/clip/models/"
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    ("~/.cache/clip",),
)
"""CLIP ViT-B/32 of OpenAI, whose loader and that of open_clip keep it in ``~/.cache/clip``."""

DINOV2 = Weights(
    "dinov2",
    "dinov2_vits14_pretrain.pth",
    "",
    "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
    ("~/.cache/torch/hub/checkpoints",),
    "",
)
"""DINOv2 ViT-S/14 of Meta (84 MB), which torch.hub keeps in its own cache. Its authors publish no hash."""

RADIMAGENET = Weights(
    "radimagenet",
    "RadImageNet_pytorch/ResNet50.pt",
    "",
    "https://github.com/BMEII-AI/RadImageNet",
    (),
    "",
)
"""ResNet-50 trained on the radiographs, CT, MR and ultrasound of RadImageNet (Mei et al. 2022), as its authors' archive has it;
they give it on request and publish no hash."""
