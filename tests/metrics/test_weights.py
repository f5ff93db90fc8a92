"""Weights are found, verified and downloaded, or refused with the file's name and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.weights import CLIP, INCEPTION
from ipv2_bench.weights import VARIABLE, Weights, weights_folder

CONTENT = bytes(range(256)) * 5000
TINY = Weights("tiny", "tiny.pt", hashlib.sha256(CONTENT).hexdigest(), "https://example.org/tiny.pt")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "cache" / "ipv2-bench"


def test_absent_weights_are_none_and_leave_no_folder(cache: Path) -> None:
    assert TINY.find() is None and not cache.exists()
    with pytest.raises(InputError, match=r"tiny.pt \(.*\) are absent: get them with ipv2-bench check --download"):
        TINY.need()


def test_the_given_folder_comes_first(cache: Path, tmp_path: Path) -> None:
    for folder in (cache, tmp_path / "mine", tmp_path / "theirs"):
        folder.mkdir(parents=True)
        (folder / "tiny.pt").write_bytes(CONTENT)
    weights = replace(TINY, elsewhere=(str(tmp_path / "theirs"),))
    assert weights.find() == cache / "tiny.pt"
    assert weights.find(tmp_path / "mine") == weights.need(tmp_path / "mine") == tmp_path / "mine" / "tiny.pt"
    (tmp_path / "mine" / "tiny.pt").unlink()
    (cache / "tiny.pt").unlink()
    assert weights.find(tmp_path / "mine") == tmp_path / "theirs" / "tiny.pt"


def test_a_setting_has_precedence_over_the_environment(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights_folder(None) is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "theirs"))
    assert weights_folder(None) == tmp_path / "theirs"
    assert weights_folder(str(tmp_path)) == tmp_path.resolve()
    with pytest.raises(InputError, match=r"run.weights is 'nowhere': there is no such folder"):
        weights_folder("nowhere")


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


def writes(content: bytes) -> Callable[..., None]:
    """A downloader in pooch's form that gets this content."""

    def download(url: str, output_file: str, pooch: object) -> None:
        assert url == TINY.url
        Path(output_file).write_bytes(content)

    return download


def breaks(url: str, output_file: str, pooch: object) -> None:
    """A connection that ends in the middle."""
    Path(output_file).write_bytes(CONTENT[:100_000])
    raise ConnectionResetError("connection reset")


def test_a_download_appears_whole_and_readable_by_all(cache: Path) -> None:
    assert TINY.download(writes(CONTENT)) == cache / "tiny.pt" == TINY.find()
    assert [p.name for p in cache.iterdir()] == ["tiny.pt"]
    assert (cache / "tiny.pt").stat().st_mode & 0o777 == 0o644


def test_what_is_there_already_is_not_downloaded_again(cache: Path) -> None:
    TINY.download(writes(CONTENT))
    assert TINY.download(breaks) == cache / "tiny.pt"


@pytest.mark.parametrize(
    ("downloader", "message"),
    [
        (breaks, r"tiny.pt cannot be downloaded from https.*ConnectionResetError.*IPV2_BENCH_WEIGHTS"),
        (writes(CONTENT[:1000]), rf"another file than the one with SHA-256 {TINY.sha256[:12]}.*cut off or altered"),
    ],
)
def test_a_broken_download_leaves_nothing(cache: Path, downloader: Callable[..., None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TINY.download(downloader)
    assert list(cache.iterdir()) == []
    assert TINY.find() is None


def test_check_says_what_is_missing_and_how_to_get_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("ipv2_bench.folders.check.extractors.INCEPTION", replace(TINY, name="inception"))
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "fd_randconv, kid_x100_randconv: ready" in out
    assert "fid, kid_x100: missing" in out and TINY.url in out and TINY.sha256 in out
    assert str(cache / "tiny.pt") in out
    (tmp_path / "tiny.pt").write_bytes(CONTENT)
    monkeypatch.setenv(VARIABLE, "")
    assert main(["check", f"run.weights={tmp_path}"]) == 0
    assert "fid, kid_x100: ready" in capsys.readouterr().out
    (tmp_path / "tiny.pt").write_bytes(CONTENT + b"!")
    assert main(["check", f"run.weights={tmp_path}"]) == 2
    assert "is not the inception file" in capsys.readouterr().err


def test_check_downloads_what_is_missing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("INCEPTION", "CLIP"):
        monkeypatch.setattr(f"ipv2_bench.folders.check.extractors.{name}", replace(TINY, name=name.lower()))
    monkeypatch.setattr(Weights, "download", lambda self, own=Weights.download: own(self, writes(CONTENT)))
    assert main(["check", "--download"]) == 0
    out = capsys.readouterr().out
    missing = [line.split(":")[0] for line in out.splitlines() if ": missing" in line]
    assert missing == ["fd_dinov2", "fd_radimagenet"]  # what cannot be verified is not fetched
    assert "clip_fid_x100: ready" in out and (cache / "tiny.pt").exists()


def test_the_published_files_are_named_by_their_hash() -> None:
    assert all(len(w.sha256) == 64 and w.url.startswith("https://") for w in (INCEPTION, CLIP))
    assert CLIP.sha256 in CLIP.url
