"""Seeds depend on their key and on nothing else."""

from __future__ import annotations

import subprocess
import sys

import torch

from ipv2_bench.physics.seeding import derive_seed, numpy_generator, torch_generator


def test_keys_that_look_alike_differ() -> None:
    keys = [("a", "b"), ("ab",), ("b", "a"), ("a", "b", ""), (1,), ("1",), (0,), (), ("",), (1, 2), (12,), (-1,)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)


def test_seeds_have_63_bits_and_use_them() -> None:
    seeds = [derive_seed("spread", i) for i in range(200)]
    assert all(0 <= s < 2**63 for s in seeds)
    assert max(seeds) > 2**62


def test_equal_keys_draw_equal_numbers_even_in_another_process() -> None:
    assert torch.equal(*(torch.rand(5, generator=torch_generator(0, "x")) for _ in range(2)))
    assert numpy_generator(0, "x").random() == numpy_generator(0, "x").random()
    code = "from ipv2_bench.physics.seeding import derive_seed; print(derive_seed(7, 'noise', 3))"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(elsewhere) == derive_seed(7, "noise", 3)


def test_zero_is_a_seed() -> None:
    first, again = (torch.rand(3, generator=torch_generator(0)) for _ in range(2))
    other = torch.rand(3, generator=torch_generator(1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert numpy_generator(0).random() == numpy_generator(0).random() != numpy_generator(1).random()
