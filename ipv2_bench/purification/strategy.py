"""The lattice of strategies: which of the three modules are on, and what that makes of a pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from torch import Tensor

from ipv2_bench.data.pair import Pair, TrainingPair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import code, digest
from ipv2_bench.purification.masks import MaskRule, background_mask, common_mask, dark_mask

STRATEGIES: dict[str, tuple[bool, bool, bool] | None] = {
    "raw": None,
    "IPv1": (False, False, False),
    "IPv1+1": (True, False, False),
    "IPv1+2": (False, True, False),
    "IPv1+3": (False, False, True),
    "IPv1+1+2": (True, True, False),
    "IPv1+1+3": (True, False, True),
    "IPv1+2+3": (False, True, True),
    "IPv2": (True, True, True),
    "simulated": None,
}
"""The eight points of the lattice by the paper's names, and the two that use no mask."""


@dataclass(frozen=True)
class Strategy:
    """A point of the lattice with its options.

    Attributes
    ----------
    remove_background, add_noise, remove_noise
        Modules 1, 2 and 3 (§3.1–3.3). 1 and 2 shape the training input, 1 and 3 the test label.
    kind
        ``purified``, or ``raw`` (train on u itself) or ``simulated`` (train on A(n): the weak denoiser).
    rule
        Options of the masks.
    texture_mix
        T of the IPv1 repository: the kept u becomes (1−T)·u + T·n. 0 in IPv2.
    anatomy
        ``lung`` (§3.2 and the code): only the lung comes from n or A(n). ``all`` (how §3.1 reads): everything but the
        background does; needs module 1.
    """

    remove_background: bool = False
    add_noise: bool = False
    remove_noise: bool = False
    kind: str = "purified"
    rule: MaskRule = MaskRule()
    texture_mix: float = 0.0
    anatomy: str = "lung"

    def __post_init__(self) -> None:
        if self.kind not in ("purified", "raw", "simulated"):
            raise ValueError(f"kind '{self.kind}' is unknown: use one of purified, raw, simulated")
        if self.anatomy not in ("lung", "all"):
            raise ValueError(f"anatomy '{self.anatomy}' is unknown: use lung or all")
        if self.anatomy == "all" and not self.remove_background:
            raise ValueError("anatomy 'all' leaves out the background: it needs module 1 (remove_background)")
        if not isinstance(self.texture_mix, (int, float)) or not 0.0 <= self.texture_mix <= 1.0:
            raise ValueError(f"texture_mix is {self.texture_mix}: expected a share between 0 and 1")

    @classmethod
    def from_name(cls, name: str, **options: object) -> Strategy:
        """The strategy of the paper's ``name``, with options of :class:`MaskRule` or of this class.

        Raises
        ------
        InputError
            For an unknown name or option; the valid ones are listed.
        """
        if name not in STRATEGIES:
            raise InputError(f"strategy '{name}' is unknown: use one of {', '.join(STRATEGIES)}")
        rule_names, own = tuple(MaskRule.__dataclass_fields__), ("texture_mix", "anatomy")
        for option in options:
            if option not in rule_names + own:
                raise InputError(f"strategy option '{option}' is unknown: use one of {', '.join(rule_names + own)}")
        modules = STRATEGIES[name]
        try:
            rule = MaskRule(**{k: str(v) for k, v in options.items() if k in rule_names})
            rest = {k: v for k, v in options.items() if k in own}
            if modules is None:
                return cls(kind=name, rule=rule, **rest)  # type: ignore[arg-type]
            return cls(*modules, rule=rule, **rest)  # type: ignore[arg-type]
        except ValueError as error:
            raise InputError(f"strategy {name}: {error}") from error

    @property
    def name(self) -> str:
        """The paper's name, followed by the options that differ from the defaults, in brackets."""
        if self.kind != "purified":
            base = self.kind
        else:
            point = (self.remove_background, self.add_noise, self.remove_noise)
            base = next(n for n, p in STRATEGIES.items() if p == point)
        changed = [str(v) for k, v in asdict(self.rule).items() if v != getattr(MaskRule(), k)]
        changed += [f"T={self.texture_mix:g}"] if self.texture_mix else []
        changed += ["all anatomy"] if self.anatomy == "all" else []
        return base + (f" [{', '.join(changed)}]" if changed else "")

    @property
    def modules(self) -> str:
        """Which modules are on, as ``"1+2"``; empty for none."""
        flags = (self.remove_background, self.add_noise, self.remove_noise)
        return "+".join(str(i) for i, on in enumerate(flags, 1) if on)

    @property
    def label_modules(self) -> str:
        """Those of :attr:`modules` that shape the test label."""
        return replace(self, add_noise=False).modules

    @property
    def needs_noise(self) -> bool:
        """Whether the training input holds A(n)."""
        return self.add_noise or self.kind == "simulated"

    def training_identity(self) -> dict:
        """What of the strategy determines the training input; module 3 does not, and without module 1 its rule does not."""
        if self.kind != "purified":
            return {"kind": self.kind}
        rule = self.rule if self.remove_background else MaskRule(union=self.rule.union)
        return asdict(replace(self, remove_noise=False, rule=rule))

    def training_pair(self, pair: Pair, add_noise: Callable[[Tensor], Tensor] | None = None) -> TrainingPair:
        """The purified pair ``M·x + (1−M)·u → n`` with x = A(n) or n; ``pair.mask`` holds M.

        Raises
        ------
        ValueError
            When module 2 is on and no ``add_noise`` is given.
        """
        u, n = pair.low, pair.normal
        if self.kind == "raw":
            return TrainingPair(u, n)
        if self.needs_noise and add_noise is None:
            raise ValueError(f"strategy {self.name} adds noise: give add_noise")
        x = add_noise(n) if self.needs_noise and add_noise is not None else n
        if self.kind == "simulated":
            return TrainingPair(x, n)
        if self.texture_mix:
            u = (1.0 - self.texture_mix) * u + self.texture_mix * n
        return TrainingPair(pair.mask * x + (1.0 - pair.mask) * u, n)

    def test_label(self, pair: Pair, remove_noise: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The purified label ``M·y + (1−M)·n`` with y = W(u) or u; ``pair.mask`` holds M of :meth:`label_masks`.

        Raises
        ------
        ValueError
            For ``raw`` and ``simulated``, whose label is n itself, and when module 3 lacks its ``remove_noise``.
        """
        if self.kind != "purified":
            raise ValueError(f"strategy {self.name} has no purified label: its label is the NDCT")
        if self.remove_noise and remove_noise is None:
            raise ValueError(f"strategy {self.name} removes noise from its label: give remove_noise, a weak denoiser")
        y = remove_noise(pair.low) if self.remove_noise and remove_noise is not None else pair.low
        return pair.mask * y + (1.0 - pair.mask) * pair.normal

    def training_masks(self, slices: SliceSet) -> np.ndarray | None:
        """M of the training input for every slice, uint8 [n, N, N]; kept on disk. ``None`` where no mask is used."""
        if self.kind != "purified":
            return None
        if self.anatomy == "all":
            return slices.derive(
                self._mask_name("anatomy"), lambda i: self._anatomy_mask(slices.low[i], slices.normal[i])
            )
        return self.label_masks(slices)

    def label_masks(self, slices: SliceSet) -> np.ndarray:
        """M of the test label for every slice, uint8 [n, N, N] with 255 for 1; kept on disk."""
        return slices.derive(
            self._mask_name("mask"),
            lambda i: common_mask(slices.low[i], slices.normal[i], self.remove_background, self.rule),
        )

    def _anatomy_mask(self, low: np.ndarray, normal: np.ndarray) -> np.ndarray:
        return 255 * (~background_mask(low, normal, dark_mask(low), dark_mask(normal), self.rule)).astype(np.uint8)

    def _mask_name(self, kind: str) -> str:
        return f"{kind}-{digest([self.remove_background, asdict(self.rule), code('purification/masks.py')])}"
