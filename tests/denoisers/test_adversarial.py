"""DU-GAN's and ALDEN's losses written out; critics learn, are held, and are left away after training."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ipv2_bench.backbones.base import backbone
from ipv2_bench.benchmark.cells.denoisers import choose
from ipv2_bench.benchmark.cells.plan import check_denoisers
from ipv2_bench.benchmark.cells.trial import try_denoiser
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.networks.attending_critic import AttendingCritic
from ipv2_bench.denoisers.networks.unet_critic import UNetCritic
from ipv2_bench.denoisers.one_pass.alden import ALDEN, contrast
from ipv2_bench.denoisers.one_pass.du_gan import DUGAN, sobel
from ipv2_bench.denoisers.one_pass.unet import UNetDenoiser
from ipv2_bench.denoisers.shared.adversarial import held, near
from ipv2_bench.denoisers.shared.checkpoint import load_denoiser, save_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from tests.benchmark.examples import a_table, table_line

FIXTURE = Path(__file__).parents[1] / "parity" / "fixtures" / "du_gan.npz"
UNET = {"widths": (8, 16), "dropout": 0.0}
MAKERS = {
    "du_gan": lambda **options: DUGAN(**{**UNET, "critic_width": 8, "critic_levels": 2, **options}),
    "alden": lambda **options: ALDEN(**{**UNET, "critic_width": 4, **options}),
}


@pytest.fixture
def pair() -> TrainingPair:
    return TrainingPair(*(torch.rand(2, 1, 32, 32, generator=torch_generator("adversarial", k)) for k in range(2)))


def drawn(name: str, **options: object) -> Denoiser:
    """With critics whose answers are not all about zero, in evaluation mode, in which nothing but the loss moves them."""
    torch.manual_seed(0)
    denoiser: Denoiser = MAKERS[name](**options)
    for weight in denoiser.critic.parameters():  # type: ignore[union-attr]
        nn.init.normal_(weight, 0.0, 0.3)
    return denoiser.eval()


def gradients(denoiser: Denoiser, pair: TrainingPair) -> tuple[Tensor, Tensor]:
    """Of the loss with respect to the U-Net and to the critic, each as one vector."""
    denoiser.zero_grad()
    denoiser.loss(pair, torch_generator("draws")).backward()
    sides = (denoiser.network, denoiser.critic)  # type: ignore[attr-defined]
    return tuple(torch.cat([p.grad.flatten() for p in side.parameters()]) for side in sides)  # type: ignore[return-value, union-attr]


@pytest.mark.parametrize("name", MAKERS)
def test_each_side_learns_by_its_own_part_of_the_loss(name: str, pair: TrainingPair) -> None:
    with_it, without = drawn(name), drawn(name, adversarial=0.0)
    (own, critics), (others, critics_without) = gradients(with_it, pair), gradients(without, pair)
    # What the U-Net gains by deceiving it is none of the critic's business.
    assert critics.abs().max() > 0 and torch.allclose(critics, critics_without, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(own, others, rtol=1e-2)


def test_a_held_critic_is_not_moved(pair: TrainingPair) -> None:
    critic = UNetCritic(8, 2).train()
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    image = pair.input.clone().requires_grad_()
    answers = held(critic, image)
    (answers[0].sum() + answers[1].sum()).backward()
    assert image.grad is not None and image.grad.abs().max() > 0
    assert all(p.grad is None for p in critic.parameters())
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())
    critic(pair.input)  # asked itself, its estimate of the largest singular values goes on
    assert not all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())


@pytest.mark.parametrize("name", MAKERS)
def test_weights_of_critics_are_in_no_file(name: str, pair: TrainingPair, tmp_path: Path) -> None:
    denoiser = drawn(name)
    expected = denoiser.restore(pair.input)
    options = dict(UNET) | ({"critic_levels": 2, "critic_width": 8} if name == "du_gan" else {"critic_width": 4})
    save_denoiser(denoiser, tmp_path / "model.safetensors", name, options)
    loaded, _ = load_denoiser(tmp_path / "model.safetensors")
    assert not [k for k in loaded.state_dict() if "critic" in k] and loaded.critic is None
    assert torch.equal(loaded.restore(pair.input), expected)
    plain = UNetDenoiser(**UNET)  # type: ignore[arg-type]
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in plain.parameters())


def own_name(public: str) -> str:
    """Our name of a weight of the public discriminator of two halvings."""
    layers = {"conv_res": "beside", "net.0": "convolutions.0", "net.2": "convolutions.2", "down": "halve", "shortcut": "beside"}
    layers |= {"conv.0": "convolutions.0", "conv.2": "convolutions.2"}
    room, _, rest = public.partition(".")
    layer, _, kind = rest.rpartition(".")
    if room == "down_blocks":
        number, _, layer = layer.partition(".")
        if number == "2":  # the last does not halve
            return f"{ {'conv_res': 'beside', 'net.0': 'bottom.0', 'net.2': 'bottom.2'}[layer]}.{kind}"
        return f"down.{number}.{layers[layer]}.{kind}"
    if room == "up_blocks":
        number, _, layer = layer.partition(".")
        return f"up.{number}.{layers[layer]}.{kind}"
    return f"{ {'conv': f'middle.{layer}', 'conv_out': 'each', 'to_logit': 'whole'}[room]}.{kind}"


def test_du_gans_critic_gives_the_authors_numbers() -> None:
    with np.load(FIXTURE) as file:
        public = {k: torch.from_numpy(v) for k, v in file.items()}
    critic = UNetCritic(6, 2).double()
    for module in [m for m in critic.modules() if parametrize.is_parametrized(m)]:
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    critic.load_state_dict({own_name(k.removeprefix("weight/")): v for k, v in public.items() if k.startswith("weight/")})
    image = public["image"].requires_grad_()
    whole, each = critic(image)
    loss = near((whole, each), 1.0)
    loss.backward()
    for name, got in {"whole": whole, "each": each, "loss": loss, "gradient": image.grad, "sobel": sobel(image)}.items():
        torch.testing.assert_close(got.detach(), public[name], rtol=1e-10, atol=1e-12)  # type: ignore[union-attr]


def test_the_gradient_is_sobels_over_4(pair: TrainingPair) -> None:
    image = pair.input[0, 0].numpy()
    across, down = (ndimage.sobel(image, axis=axis, mode="constant") / 4 for axis in (1, 0))
    np.testing.assert_allclose(sobel(pair.input)[0, 0].numpy(), np.sqrt(across**2 + down**2 + 1e-4), atol=1e-6)


@pytest.mark.parametrize("step", [0, 400, 4000])
def test_du_gans_loss_written_out(step: int, pair: TrainingPair, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = drawn("du_gan", adversarial=0.3, pixel=0.7, gradient=5.0, consistency=2.0)
    monkeypatch.setattr(type(denoiser), "global_step", step)
    x, y = pair
    own = denoiser.denoise(x)
    seen = 0
    for draw in range(20):
        share, *_ = torch.rand(4, generator=torch_generator("mix", draw)).tolist()
        mask = denoiser._mixed_pixels(y, torch_generator("mix", draw))  # type: ignore[attr-defined]
        assert (mask is not None) == (share < 0.5 * min(1.0, step / 1000))
        expected = 0.7 * (own - y).square().mean() + 5.0 * (sobel(own) - sobel(y)).abs().mean()
        for critic, (low, fake, real) in (
            (denoiser.critic["image"], (x, own, y)),  # type: ignore[index]
            (denoiser.critic["edges"], (sobel(x), sobel(own), sobel(y))),  # type: ignore[index]
        ):
            answers = {k: critic(v) for k, v in (("low", low), ("fake", fake), ("real", real))}
            expected = expected + 0.3 * sum(((a - 1) ** 2).mean() for a in answers["fake"])
            expected = expected + sum(((a - 1) ** 2).mean() for a in answers["real"])
            expected = expected + sum((a**2).mean() for k in ("fake", "low") for a in answers[k])
            if mask is not None:
                seen += 1
                m = mask.float()
                whole, each = critic(m * real + (1 - m) * fake)
                wanted = m * answers["real"][1] + (1 - m) * answers["fake"][1]
                expected = expected + (whole**2).mean() + ((each - m) ** 2).mean() + 2.0 * ((each - wanted) ** 2).mean()
        loss = denoiser.loss(pair, torch_generator("mix", draw))
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    assert (seen > 0) == (step > 0)


def test_a_mix_is_all_but_one_rectangle() -> None:
    denoiser = drawn("du_gan", cutmix=1.0)
    denoiser.cutmix_warmup, shares = 1, []  # type: ignore[assignment]
    for draw in range(60):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(denoiser), "global_step", 1)
            mask = denoiser._mixed_pixels(torch.zeros(1, 1, 40, 24), torch_generator(draw))  # type: ignore[attr-defined]
        outside = (~mask).numpy()
        rows, columns = np.flatnonzero(outside.any(axis=1)), np.flatnonzero(outside.any(axis=0))
        assert outside.sum() == len(rows) * len(columns)
        assert all(np.array_equal(line, np.arange(line[0], line[-1] + 1)) for line in (rows, columns) if len(line))
        shares.append(outside.mean())
    assert 0.2 < np.mean(shares) < 0.5 and np.std(shares) > 0.15


def test_du_gans_critic_is_the_published_one() -> None:
    with torch.device("meta"):
        critic = UNetCritic()
    # Six halvings from 64 channels, at most 512; convolutions of 1×1 and single channels have no spectral norm beside them.
    widths = [1, 64, 128, 256, 512, 512, 512]
    pairs = list(itertools.pairwise(widths))
    twice = lambda i, o: 9 * i * o + o + 9 * o * o + o  # noqa: E731
    down = sum(twice(i, o) + 16 * o * o + o + i * o + o for i, o in pairs)
    bottom = 2 * twice(512, 512) + 512 * 512 + 512 + 512 + 1
    up = sum(twice(2 * o, i) + o * i + i for i, o in pairs) + 2
    assert sum(p.numel() for p in critic.parameters()) == down + bottom + up == 57_213_839
    # All convolutions but those from the image, to the image, and between single channels: 6 levels down and up, and the bottom.
    limited = [name for name, m in critic.named_modules() if hasattr(m, "parametrizations")]
    assert len(limited) == (4 * 6 - 2) + 5 + (3 * 6 - 3)
    small = UNetCritic(8, 3)
    whole, each = small(torch.rand(2, 1, 37, 45))
    assert whole.shape == (2,) and each.shape == (2, 1, 37, 45)


def test_images_too_small_for_the_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="6 levels need images of 64 pixels, and got 32×48"):
        UNetCritic(4, 6)(torch.zeros(1, 1, 32, 48))
    table = a_table(lines=[table_line("IPv2", "du_gan")])
    with pytest.raises(InputError, match=r"IPv2 trains on 32×32 pixels, and denoiser du_gan needs 64: raise data\.size or train"):
        check_denoisers(load_config("smoke", ["train.crop=32"]), [table])


def test_a_class_from_outside_that_derives_from_it_is_tried_at_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from ipv2_bench.denoisers.one_pass.du_gan import DUGAN\n\n\nclass Mine(DUGAN):\n    version = 1\n"
    (tmp_path / "my_gan.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    small = "denoisers={'my_gan:Mine': {widths: [8], critic_width: 2}}"
    try_denoiser(choose(load_config("smoke", [small]), "my_gan:Mine"))


def test_the_contrast_written_out() -> None:
    low, own, target = ([torch.randn(2, c, n, n, generator=torch_generator(k, c)) for c, n in ((3, 4), (5, 2))] for k in range(3))
    got = contrast(low, own, target, 0.5, 6, torch_generator("places"))
    draws = torch_generator("places")
    losses = []
    for maps in zip(low, own, target, strict=True):
        places = torch.randperm(maps[0][0, 0].numel(), generator=draws)[:6].tolist()
        terms = []
        for b in range(2):
            of_low, of_own, of_target = ([m[b].flatten(1)[:, p] for p in places] for m in maps)
            for i in range(len(places)):
                right, noisy, *others = (
                    float(torch.exp(F.cosine_similarity(of_own[i], other, dim=0) / 0.5))
                    for other in (of_target[i], of_low[i], *of_target[:i], *of_target[i + 1 :])
                )
                terms.append(-np.log(right / (right + noisy + sum(others))))
        losses.append(np.mean(terms))
    assert float(got) == pytest.approx(float(np.mean(losses)), rel=1e-5)
    # An output that is the target everywhere is nearer than one that is the uLDCT.
    assert contrast(low, target, target, 0.5, 6, torch_generator(0)) < contrast(low, low, target, 0.5, 6, torch_generator(0))


def test_aldens_loss_written_out(pair: TrainingPair) -> None:
    denoiser = drawn("alden", adversarial=0.3, contrastive=0.4, pixel=0.7)
    x, y = pair
    own, network = denoiser.denoise(x), backbone("efficientnet_lite0")
    maps = [network(image) for image in (x, own, y)]
    expected = 0.7 * (own - y).abs().mean() + 0.4 * contrast(*maps, 0.07, 64, torch_generator("draws"))
    of_own, of_real = (denoiser.critic(image, maps[2]) for image in (own, y))  # type: ignore[misc]
    expected = expected + 0.3 * ((of_own - 1) ** 2).mean() + ((of_real - 1) ** 2).mean() + (of_own**2).mean()
    loss = denoiser.loss(pair, torch_generator("draws"))
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_the_critic_sees_the_reference() -> None:
    torch.manual_seed(0)
    critic = AttendingCritic((3, 5), 4).eval()
    image = torch.rand(1, 1, 40, 32)
    maps = [torch.randn(1, 3, 20, 16), torch.randn(1, 5, 3, 2)]
    answer = critic(image, maps)
    assert answer.shape == (1, 1, 5, 4)
    for k in range(2):
        other = [m.roll(1, dims=-1) if i == k else m for i, m in enumerate(maps)]
        assert (critic(image, other) - answer).abs().max() > 1e-4, "one scale is not looked at, or not where it is"


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("du_gan", {"gradient": -1.0}, "gradient is -1.0: expected 0 or more"),
        ("du_gan", {"cutmix": 1.5}, "cutmix is 1.5 and cutmix_warmup 1000: expected a share"),
        ("du_gan", {"critic_levels": 0}, "levels 0: expected at least 1"),
        ("alden", {"temperature": 0.0}, "temperature is 0.0 and places 64"),
        ("alden", {"contrastive": -0.1}, "contrastive is -0.1"),
        ("alden", {"critic_width": 0}, "critic_width is 0"),
    ],
)
def test_bad_options_are_named(name: str, options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        MAKERS[name](**options)


def test_backbones_that_cannot_be_used_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="backbone 'dino' is unknown"):
        ALDEN(backbone="dino")
    text = "from ipv2_bench.backbones.base import Backbone\n\n\nclass Mine(Backbone):\n    def forward(self, image):\n"
    text += "        return (image,)\n"
    (tmp_path / "my_backbone.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"backbone my_backbone:Mine does not state the channels of its maps: give its class"):
        ALDEN(backbone="my_backbone:Mine")


def test_a_file_of_weights_imports_no_backbone_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = drawn("alden")
    options = {**UNET, "critic_width": 4, "backbone": "my_foreign_backbone:Mine"}
    save_denoiser(denoiser, tmp_path / "model.safetensors", "alden", options)
    (tmp_path / "my_foreign_backbone.py").write_text("raise RuntimeError('it was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="asks for code from outside: if you trust it, denoise --outside my_foreign"):
        load_denoiser(tmp_path / "model.safetensors")
