"""CoreDiff's published network as the plainest torch modules, written from facts and without a look at this project's own.

The names of the layers are those of the authors' code (``tests/parity/fixtures/corediff_names.json``), so that weights that
are set by name fit.
"""

from torch import Tensor, cat, nn
from torch.nn import functional as F

from tests.literal.networks import sinusoidal_embedding

TIME = 32


class ConvReLU(nn.Module):
    """3×3 and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def convolutions(in_channels: int, out_channels: int, number: int) -> nn.Sequential:
    """``number`` times 3×3 and ReLU."""
    return nn.Sequential(*(ConvReLU(out_channels if i else in_channels, out_channels) for i in range(number)))


class Adjust(nn.Module):
    """Error-modulated module: scale and shift of one place [B, channels, 1, 1] from the previous estimate and x_T."""

    def __init__(self, channels: int, modulator: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(2, modulator, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(modulator, 2 * modulator, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(2 * modulator, 4 * modulator, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(4 * modulator, 2 * channels, 1),
        )

    def forward(self, estimate: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.model(cat([estimate, end], dim=1)).chunk(2, dim=1)
        return scale, shift


class Up(nn.Module):
    """Transposed 2×2 with stride 2, then the skip connection added."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.up(x) + skip


class OutConv(nn.Module):
    """1×1 to one channel."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class RestorationUNet(nn.Module):
    """Three levels; the time is added before each pooling and each of the two upper stages, but not to the skip connections."""

    def __init__(self, width: int, context: int, modulator: int) -> None:
        super().__init__()
        w1, w2, w4 = width, 2 * width, 4 * width
        # Index 0 is the sinusoidal embedding, which has no weights.
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(TIME, 4 * TIME), nn.GELU(), nn.Linear(4 * TIME, TIME))
        self.inc = convolutions(context, w1, 2)
        self.conv1 = convolutions(w1, w2, 3)
        self.conv2 = convolutions(w2, w4, 6)
        self.up1, self.conv3 = Up(w4, w2), convolutions(w2, w2, 3)
        self.up2, self.conv4 = Up(w2, w1), convolutions(w1, w1, 2)
        self.outc = OutConv(w1)
        for place, channels in enumerate((w1, w2, w2, w1), start=1):
            self.add_module(f"mlp{place}", nn.Sequential(nn.GELU(), nn.Linear(TIME, channels)))
            self.add_module(f"adjust{place}", Adjust(channels, modulator))

    def condition(self, place: int, time: Tensor, estimate: Tensor | None, end: Tensor) -> Tensor:
        """Time features of one place [B, C, 1, 1], scaled and shifted where there is a previous estimate."""
        condition = self.get_submodule(f"mlp{place}")(time)[:, :, None, None]
        if estimate is None:
            return condition
        scale, shift = self.get_submodule(f"adjust{place}")(estimate, end)
        return scale * condition + shift

    def forward(self, x: Tensor, t: Tensor, estimate: Tensor | None, end: Tensor) -> Tensor:
        time = self.time_mlp(sinusoidal_embedding(t.to(x.dtype), TIME))
        first, second, third, fourth = (self.condition(place, time, estimate, end) for place in (1, 2, 3, 4))
        full = self.inc(x)
        half = self.conv1(F.avg_pool2d(full + first, 2))
        quarter = self.conv2(F.avg_pool2d(half + second, 2))
        h = self.conv3(self.up1(quarter, half) + third)
        h = self.conv4(self.up2(h, full) + fourth)
        return self.outc(h)


class LiteralCoreDiff(nn.Module):
    """Restoration network: the U-Net's output added to the (middle) slice; 4,824,801 parameters at the published size.

    x [B, context, H, W] and t [B]; ``estimate`` [B, 1, H, W] is the previous estimate of x_0, or None where nothing is modulated,
    and ``end`` [B, 1, H, W] is x_T.
    """

    def __init__(self, width: int = 64, context: int = 1, modulator: int = 32) -> None:
        super().__init__()
        self.unet = RestorationUNet(width, context, modulator)

    def forward(self, x: Tensor, t: Tensor, estimate: Tensor | None, end: Tensor) -> Tensor:
        middle = x.shape[1] // 2
        return x[:, middle : middle + 1] + self.unet(x, t, estimate, end)
