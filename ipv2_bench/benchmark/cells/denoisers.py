"""The denoisers that a configuration names: registered ones, variants of them, and classes from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ipv2_bench import registry
from ipv2_bench.benchmark.cells.runners.runner import check_runner
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.prepared import check_settings
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.errors import InputError
from ipv2_bench.outside import outside_module

if TYPE_CHECKING:
    from ipv2_bench.denoisers.base import Denoiser

PACKAGE = "ipv2_bench.denoisers"
HIDDEN = ("seed",)
"""Options that the benchmark sets itself."""

GIVEN = ("lr", "schedule", "seed")
"""Options that every denoiser is given."""


class DenoiserChoice(BaseModel):
    """A denoiser as a table names it.

    Attributes
    ----------
    key
        Its name in tables' files: a registry key, the name of a variant, or ``package.module:Class``.
    registered
        The denoiser that it is, or of which it is a variant.
    options
        Keyword options of its class.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    registered: str
    options: dict[str, Any]

    @property
    def variant_of(self) -> str | None:
        """Key of the denoiser that it varies; ``None`` for no variant."""
        return None if self.key == self.registered else self.registered

    @property
    def class_(self) -> type[Denoiser]:
        """Its class."""
        from ipv2_bench.denoisers.base import Denoiser

        return registry.find(PACKAGE, self.registered, Denoiser)  # type: ignore[type-abstract]

    @property
    def title(self) -> str:
        """Its name in tables; a variant's ends with what follows the denoiser's own name: ``fm_tuned`` is "FM, tuned"."""
        title = self.class_.title or self.class_.__name__
        if self.variant_of is None:
            return title
        return f"{title}, {self.key.removeprefix(f'{self.registered}_').replace('_', ' ')}"

    @property
    def changed_options(self) -> dict[str, Any]:
        """Options that differ from the class's defaults: what names its results."""
        from ipv2_bench.denoisers.base import Denoiser

        defaults = {k: p.default for k, p in registry.options(self.class_, Denoiser).items()}
        return {k: v for k, v in self.options.items() if not _equal(v, defaults.get(k, registry.UNKNOWN))}

    def build(self, seed: int) -> Denoiser:
        """The denoiser with freshly drawn weights.

        Raises
        ------
        InputError
            When an option is unknown or has a value that the class refuses.
        """
        import torch

        from ipv2_bench.denoisers.base import Denoiser
        from ipv2_bench.physics.seeding import derive_seed

        torch.manual_seed(derive_seed(seed, "weights"))
        return registry.build(self.class_, Denoiser, {**self.options, "seed": seed}, f"denoiser {self.key}")


def _equal(value: Any, default: Any) -> bool:
    """Whether an option is its default; YAML's lists equal tuples."""
    return (tuple(value) if isinstance(value, list) else value) == default


def choose(config: Config, key: str) -> DenoiserChoice:
    """A denoiser by its name in a table, with its options from the configuration and the budget.

    A variant has the options of the denoiser that ``variant_of`` names, and its own before them. For denoisers of this
    program names and options are checked without importing torch.

    Raises
    ------
    InputError
        For an unknown denoiser or option, or a variant with the name of a denoiser.
    """
    own = config.denoisers.get(key, {})
    registered = str(own.get("variant_of", key))
    if registered != key and key in registry.names(PACKAGE):
        raise InputError(
            f"denoisers.{key}.variant_of is '{registered}': {key} is a denoiser itself; give the variant a new name"
        )
    if ":" not in registered:
        known = registry.names(PACKAGE)
        if registered not in known:
            variants = sorted(k for k, v in config.denoisers.items() if "variant_of" in v)
            hint = registry.suggestion(key, [*known, *variants])
            raise InputError(
                f"denoiser '{registered}' is unknown: {hint}use one of {', '.join([*known, *variants])}, or package.module:Class"
            )
    options = {**config.denoisers.get(registered, {}), **own}
    options.pop("variant_of", None)
    if config.train.lr is not None:
        options.setdefault("lr", config.train.lr)
    options.setdefault("schedule", config.train.schedule)
    registry.check_options(_valid_options(registered), options, f"denoiser {key}", HIDDEN)
    return DenoiserChoice(key=key, registered=registered, options=options)


def _valid_options(registered: str) -> dict[str, Any]:
    if ":" not in registered:
        return registry.options_in_text(PACKAGE, registered)
    outside_module(registered)  # refused before torch is imported
    from ipv2_bench.denoisers.base import Denoiser

    cls = registry.find(PACKAGE, registered, Denoiser)  # type: ignore[type-abstract]
    registry.refuse_without(cls, Denoiser, GIVEN, f"denoiser {registered}")
    return {k: p.default for k, p in registry.options(cls, Denoiser).items()}


def check_names(config: Config, tables: Iterable[Table]) -> None:
    """Refuse sources, denoisers and options that do not exist, and other settings that nothing can be done with.

    Torch is not imported for what is of this program.

    Raises
    ------
    InputError
        The valid ones are listed.
    """
    check_settings(config)
    check_runner(config)
    used = {line.denoiser for table in tables for line in table.lines if line.denoiser}
    for key in sorted(used | {config.weak_denoiser} | set(config.denoisers)):
        choose(config, key)
