"""Weights are found, verified and fetched, or refused by name."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest

from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.weights import CLIP, INCEPTION, VARIABLE, Weights

CONTENT = bytes(range(256)) * 5000
TINY = Weights("tiny", "tiny.pt", hashlib.sha256(CONTENT).hexdigest(), "https://example.org/tiny.pt")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "cache" / "ipv2-bench"


def test_nothing_is_found_where_nothing_is(cache: Path) -> None:
    assert TINY.find() is None and not cache.exists()


def test_the_given_folder_comes_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (cache, tmp_path / "mine", tmp_path / "theirs"):
        folder.mkdir(parents=True)
        (folder / "tiny.pt").write_bytes(CONTENT)
    weights = replace(TINY, elsewhere=(str(tmp_path / "theirs"),))
    assert weights.find() == cache / "tiny.pt"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert weights.find() == tmp_path / "mine" / "tiny.pt"
    (tmp_path / "mine" / "tiny.pt").unlink()
    (cache / "tiny.pt").unlink()
    assert weights.find() == tmp_path / "theirs" / "tiny.pt"


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT[::-1], b""], ids=["cut off", "other content, same size", "empty"]
)
def test_a_wrong_file_is_refused_by_name_and_hash(cache: Path, content: bytes) -> None:
    cache.mkdir(parents=True)
    (cache / "tiny.pt").write_bytes(CONTENT)
    assert TINY.find()
    (cache / "tiny.pt").write_bytes(content)
    with pytest.raises(InputError, match=rf"tiny.pt is not the tiny file.*expected {TINY.sha256[:12]}"):
        TINY.find()


def test_a_download_appears_whole(cache: Path) -> None:
    assert TINY.download(lambda url: io.BytesIO(CONTENT)) == cache / "tiny.pt" == TINY.find()
    assert [p.name for p in cache.iterdir()] == ["tiny.pt"]


class Breaks(io.BytesIO):
    """A connection that ends in the middle."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 100_000:
            raise ConnectionResetError("connection reset")
        return super().read(min(size or 1, 65_536))


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        (lambda url: Breaks(CONTENT), r"could not be fetched.*connection reset.*IPV2_BENCH_WEIGHTS"),
        (lambda url: io.BytesIO(CONTENT[:1000]), "cut off or altered"),
    ],
)
def test_a_broken_download_leaves_nothing(cache: Path, opened, said: str) -> None:
    with pytest.raises(InputError, match=said):
        TINY.download(opened)
    assert list(cache.iterdir()) == []
    assert TINY.find() is None


def test_check_tells_what_is_missing_and_how_to_get_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("ipv2_bench.benchmark.check.PRETRAINED", ((replace(TINY, name="inception"), None),))
    config = str(Path(__file__).parents[2] / "experiments" / "smoke.yaml")
    assert main(["check", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "fd_randconv, kid_x100_randconv: ready" in said
    assert "fid, kid_x100: missing" in said and TINY.url in said and TINY.sha256 in said
    assert str(cache / "tiny.pt") in said
    (tmp_path / "tiny.pt").write_bytes(CONTENT)
    monkeypatch.setenv(VARIABLE, "")
    assert main(["check", "--config", config, f"run.weights={tmp_path}"]) == 0
    assert "fid, kid_x100: ready" in capsys.readouterr().out
    (tmp_path / "tiny.pt").write_bytes(CONTENT + b"!")
    assert main(["check", "--config", config, f"run.weights={tmp_path}"]) == 2
    assert "is not the inception file" in capsys.readouterr().err


def test_the_published_files_are_named_by_their_hash() -> None:
    assert all(len(w.sha256) == 64 and w.url.startswith("https://") for w in (INCEPTION, CLIP))
    assert CLIP.sha256 in CLIP.url
