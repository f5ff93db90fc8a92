"""IPv1, IPv2 and what lies between: the paper's lattice of three modules, each on or off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ipv2_bench import registry
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest, settings_of
from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from ipv2_bench.data.pair import Pair, TrainingPair
    from ipv2_bench.data.slices import SliceSet

LATTICE: dict[str, tuple[bool, bool, bool]] = {
    "IPv1": (False, False, False),
    "IPv1+1": (True, False, False),
    "IPv1+2": (False, True, False),
    "IPv1+3": (False, False, True),
    "IPv1+1+2": (True, True, False),
    "IPv1+1+3": (True, False, True),
    "IPv1+2+3": (False, True, True),
    "IPv2": (True, True, True),
}
"""Which of modules 1, 2 and 3 are on, by the paper's names of the lattice's eight points."""

CHOICES = {
    "both_outside": "module 1 clears the common mask only where both scans are outside of the body",
    "flood_fill": "module 1 clears the part of the common mask that is connected to the corners",
    "fill_then_or": "the mask of the uLDCT is filled before it is joined with that of the NDCT",
    "or_then_fill": "the masks of uLDCT and NDCT are joined before they are filled",
    "one_corner": "the fill of module 1 starts in one corner",
    "four_corners": "the fill of module 1 starts in all four corners",
    "uint8_wrap": "masks are joined as bytes that overflow, as in the authors' code",
    "logical": "masks are joined by a logical or",
}
"""Choice of a mask rule → what it does."""


@dataclass(frozen=True)
class Purified(Strategy):
    """A point of the lattice with its options.

    Attributes
    ----------
    remove_background, add_noise, remove_noise
        Modules 1, 2 and 3 (§3.1–3.3). 1 and 2 shape the training input, 1 and 3 the test label.
    rule
        Options of the masks.
    texture_mix
        T of the IPv1 repository: the kept u becomes (1−T)·u + T·n. 0 in IPv2.
    anatomy
        ``lung`` (§3.2 and the code): only the lung comes from n or A(n). ``all`` (how §3.1 reads): everything but the
        background does; needs module 1.
    """

    has_label = True

    remove_background: bool = False
    add_noise: bool = False
    remove_noise: bool = False
    rule: MaskRule = MaskRule()
    texture_mix: float = 0.0
    anatomy: str = "lung"

    def __post_init__(self) -> None:
        if self.anatomy not in ("lung", "all"):
            raise ValueError(f"anatomy '{self.anatomy}' is unknown: use lung or all")
        if self.anatomy == "all" and not self.remove_background:
            raise ValueError("anatomy 'all' leaves out the background: it needs module 1 (remove_background)")
        if not isinstance(self.texture_mix, (int, float)) or not 0.0 <= self.texture_mix <= 1.0:
            raise ValueError(f"texture_mix is {self.texture_mix}: expected a share between 0 and 1")

    @classmethod
    def of_name(cls, name: str, options: dict[str, Any]) -> Purified:
        """The point of the paper's ``name``, with options of :class:`MaskRule` or ``texture_mix`` and ``anatomy``."""
        rule_names, own = tuple(MaskRule.__dataclass_fields__), ("texture_mix", "anatomy")
        known = rule_names + own
        for option in options:
            if option not in known:
                hint = registry.suggestion(option, known)
                raise InputError(f"strategy option '{option}' is unknown: {hint}use one of {', '.join(known)}")
        try:
            rule = MaskRule(**{k: str(v) for k, v in options.items() if k in rule_names})
            return cls(*LATTICE[name], rule=rule, **{k: v for k, v in options.items() if k in own})
        except ValueError as error:
            raise InputError(f"strategy {name}: {error}") from error

    @property
    def base(self) -> str:
        """The paper's name of the point."""
        point = (self.remove_background, self.add_noise, self.remove_noise)
        return next(n for n, p in LATTICE.items() if p == point)

    @property
    def options(self) -> dict[str, Any]:
        """Options that differ from the paper's, as :meth:`of_name` takes them."""
        own: dict[str, Any] = {"texture_mix": self.texture_mix} if self.texture_mix else {}
        own |= {"anatomy": self.anatomy} if self.anatomy != "lung" else {}
        return {**settings_of(self.rule), **own}

    @property
    def name(self) -> str:
        """The paper's name, followed by the options that differ from the paper's, in brackets."""
        changed = [str(v) for v in settings_of(self.rule).values()]
        changed += [f"T={self.texture_mix:g}"] if self.texture_mix else []
        changed += ["all anatomy"] if self.anatomy == "all" else []
        return self.base + (f" [{', '.join(changed)}]" if changed else "")

    @property
    def option_words(self) -> dict[str, str]:
        """Every option in the name → what it means."""
        words = {choice: CHOICES[choice] for choice in settings_of(self.rule).values()}
        if self.texture_mix:
            share = self.texture_mix
            words[f"T={share:g}"] = f"what is kept of the uLDCT is mixed with {100 * share:g} % of the NDCT"
        if self.anatomy == "all":
            words["all anatomy"] = "everything but the background comes from the NDCT, not the lung alone"
        return words

    @property
    def summary(self) -> str:  # type: ignore[override]
        """The modules that are on."""
        return f"{'modules' if '+' in self.modules else 'module'} {self.modules}" if self.modules else "masks alone"

    @property
    def modules(self) -> str:  # type: ignore[override]
        """Numbers of the modules that are on, as ``"1+2"``; empty for none."""
        flags = (self.remove_background, self.add_noise, self.remove_noise)
        return "+".join(str(i) for i, on in enumerate(flags, 1) if on)

    @property
    def label_modules(self) -> str:  # type: ignore[override]
        """Numbers of the modules that shape the test label, like :attr:`modules`."""
        return replace(self, add_noise=False).modules

    @property
    def training_name(self) -> str:
        """Name of the strategy as far as training goes: IPv1+1+2 and IPv2 train on the same pairs, and so do IPv1 and IPv1+3."""
        return replace(self, remove_noise=self.remove_background and self.add_noise).name

    @property
    def needs_noise(self) -> bool:  # type: ignore[override]
        """Whether the training input holds A(n), which is what module 2 puts there."""
        return self.add_noise

    def training_identity(self) -> dict:
        """Settings that determine the training input, as plain JSON values.

        Module 3 does not, and without module 1 the rule of its background does not.
        """
        rule = self.rule if self.remove_background else MaskRule(union=self.rule.union)
        return settings_of(replace(self, remove_noise=False, rule=rule))

    def training_pair(
        self,
        pair: Pair,
        add_noise: Callable[[Tensor], Tensor] | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> TrainingPair:
        """The purified pair ``M·x + (1−M)·u → n`` with x = A(n) or n; ``pair.mask`` holds M of :meth:`training_masks`.

        Raises
        ------
        ValueError
            When module 2 is on and no ``add_noise`` is given.
        """
        from ipv2_bench.data.pair import TrainingPair

        u, n = pair.low, pair.normal
        if self.needs_noise and add_noise is None:
            raise ValueError(f"strategy {self.name} adds noise: give add_noise")
        x = add_noise(n) if self.needs_noise and add_noise is not None else n
        if self.texture_mix:
            u = (1.0 - self.texture_mix) * u + self.texture_mix * n
        return TrainingPair(pair.mask * x + (1.0 - pair.mask) * u, n)

    def test_label(self, pair: Pair, remove_noise: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The purified label ``M·y + (1−M)·n`` with y = W(u) or u; ``pair.mask`` holds M of :meth:`label_masks`.

        Raises
        ------
        ValueError
            When module 3 lacks its ``remove_noise``.
        """
        if self.remove_noise and remove_noise is None:
            raise ValueError(f"strategy {self.name} removes noise from its label: give remove_noise, a weak denoiser")
        y = remove_noise(pair.low) if self.remove_noise and remove_noise is not None else pair.low
        return pair.mask * y + (1.0 - pair.mask) * pair.normal

    def training_masks(self, slices: SliceSet) -> np.ndarray:
        """Mask M of the training input for every slice, uint8 [n, N, N] with 255 for 1; kept on disk."""
        if self.anatomy == "all":
            return self._masks_on_disk(slices, "anatomy", self._anatomy_mask)
        return self.label_masks(slices)

    def label_masks(self, slices: SliceSet) -> np.ndarray:
        """Mask M of the test label for every slice, uint8 [n, N, N] with 255 for 1; kept on disk."""
        return self._masks_on_disk(slices, "mask", self._common_mask)

    def _common_mask(self, low: np.ndarray, normal: np.ndarray) -> np.ndarray:
        from ipv2_bench.purification.masks import common_mask

        return common_mask(low, normal, self.remove_background, self.rule)

    def _anatomy_mask(self, low: np.ndarray, normal: np.ndarray) -> np.ndarray:
        from ipv2_bench.purification.masks import anatomy_mask

        return anatomy_mask(low, normal, self.rule)

    def _masks_on_disk(
        self, slices: SliceSet, kind: str, mask: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        from ipv2_bench.purification import VERSION

        name = f"{kind}-{digest([self.remove_background, asdict(self.rule), VERSION])}"
        return slices.derive(name, lambda i: mask(slices.low[i], slices.normal[i]))
