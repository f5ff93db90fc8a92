"""A formula that is changed by 1e-3 fails the golden test of its part, and the failure names the version to raise."""

from __future__ import annotations

import re

import pytest

from tests.golden.golden import OtherNumbers, check, parts

CASES = [(part.name, case) for part in parts().values() for case in part.perturbations]


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_formula_changed_by_a_thousandth_is_noticed(name: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = parts()[name]
    part.perturbations[case](monkeypatch)
    with pytest.raises(OtherNumbers, match=rf"raise `{re.escape(part.version_name)}`"):
        check(part)


def test_every_part_has_a_case() -> None:
    assert not [part.name for part in parts().values() if not part.perturbations]
