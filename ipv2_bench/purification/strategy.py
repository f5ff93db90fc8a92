"""The lattice of strategies: which of the three modules are on, and the training input and test label that follow.

Strategies are named and compared without torch and scipy: what computes with images imports them inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest, settings_of
from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.registry import suggestion

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ipv2_bench.data.pair import Pair, TrainingPair
    from ipv2_bench.data.slices import SliceSet

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
    "oracle": None,
}
"""Which of modules 1, 2 and 3 are on, by the paper's names of the lattice's eight points; ``None`` for those without masks."""

ORACLE = "oracle"
"""Name of the strategy that trains on the aligned truth."""

PLAIN = tuple(name for name, modules in STRATEGIES.items() if modules is None)
"""Names of the strategies without masks."""


@dataclass(frozen=True)
class Strategy:
    """A point of the lattice of strategies with its options.

    Attributes
    ----------
    remove_background, add_noise, remove_noise
        Modules 1, 2 and 3 (§3.1–3.3). 1 and 2 shape the training input, 1 and 3 the test label.
    kind
        ``purified``, or ``raw`` (train on u itself) or ``simulated`` (train on A(n): the weak denoiser) or ``oracle`` (train on
        u and the truth that is aligned with it, where that is known: what purification can reach at best).
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
        if self.kind not in ("purified", *PLAIN):
            raise ValueError(f"kind '{self.kind}' is unknown: use one of purified, {', '.join(PLAIN)}")
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
            For an unknown name, an unknown option or a value that is refused; the valid ones are listed.
        """
        if name not in STRATEGIES:
            raise InputError(f"strategy '{name}' is unknown: {suggestion(name, STRATEGIES)}use one of {', '.join(STRATEGIES)}")
        rule_names, own = tuple(MaskRule.__dataclass_fields__), ("texture_mix", "anatomy")
        known = rule_names + own
        for option in options:
            if option not in known:
                hint = suggestion(option, known)
                raise InputError(f"strategy option '{option}' is unknown: {hint}use one of {', '.join(known)}")
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
        """The paper's name of the strategy, followed by the options that differ from the defaults, in brackets."""
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
        """Numbers of the modules that are on, as ``"1+2"``; empty for none."""
        flags = (self.remove_background, self.add_noise, self.remove_noise)
        return "+".join(str(i) for i, on in enumerate(flags, 1) if on)

    @property
    def training_name(self) -> str:
        """Name of the strategy as far as training goes: IPv1+1+2 and IPv2 train on the same pairs, and so do IPv1 and IPv1+3."""
        return replace(self, remove_noise=self.remove_background and self.add_noise).name

    @property
    def has_options(self) -> bool:
        """Whether an option differs from the paper's: such a strategy is ours, and no number is published for it."""
        return self.rule != MaskRule() or bool(self.texture_mix) or self.anatomy != "lung"

    @property
    def label_modules(self) -> str:
        """Numbers of the modules that shape the test label, like :attr:`modules`."""
        return replace(self, add_noise=False).modules

    @property
    def needs_noise(self) -> bool:
        """Whether the training input holds A(n), the NDCT with simulated noise."""
        return self.add_noise or self.kind == "simulated"

    @property
    def needs_truth(self) -> bool:
        """Whether the target is the aligned truth, and ``pair.normal`` has to hold it."""
        return self.kind == ORACLE

    def training_identity(self) -> dict:
        """Settings that determine the training input, as plain JSON values.

        Module 3 does not, and without module 1 the rule of its background does not.
        """
        if self.kind != "purified":
            return {"kind": self.kind}
        rule = self.rule if self.remove_background else MaskRule(union=self.rule.union)
        return settings_of(replace(self, remove_noise=False, rule=rule))

    def training_pair(self, pair: Pair, add_noise: Callable[[Tensor], Tensor] | None = None) -> TrainingPair:
        """The purified pair ``M·x + (1−M)·u → n`` with x = A(n) or n; ``pair.mask`` holds M of :meth:`training_masks`.

        Raises
        ------
        ValueError
            When module 2 is on and no ``add_noise`` is given.
        """
        from ipv2_bench.data.pair import TrainingPair

        u, n = pair.low, pair.normal
        if self.kind in ("raw", ORACLE):
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
            For strategies without masks, whose label is n itself, and when module 3 lacks its ``remove_noise``.
        """
        if self.kind != "purified":
            raise ValueError(f"strategy {self.name} has no purified label: its label is the NDCT")
        if self.remove_noise and remove_noise is None:
            raise ValueError(f"strategy {self.name} removes noise from its label: give remove_noise, a weak denoiser")
        y = remove_noise(pair.low) if self.remove_noise and remove_noise is not None else pair.low
        return pair.mask * y + (1.0 - pair.mask) * pair.normal

    def training_masks(self, slices: SliceSet) -> np.ndarray | None:
        """Mask M of the training input for every slice, uint8 [n, N, N] with 255 for 1; kept on disk.

        ``None`` where the strategy uses no mask.
        """
        if self.kind != "purified":
            return None
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
