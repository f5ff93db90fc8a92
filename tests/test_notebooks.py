"""The notebooks run, and what is stored in them is what a reader should see: pictures, and nothing of a machine."""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from tests.notebook_files import METADATA, NOTEBOOKS, ROOT, execute, pictures, pngs, words

LEAST = {"1_purification_step_by_step": 6, "2_add_your_denoiser": 3, "3_read_the_results": 5}
"""Pictures that a notebook shows."""

LARGEST = 1_000_000
"""Bytes of a notebook with its outputs."""


def changed() -> str:
    command = ["git", "status", "--porcelain", "--ignored", "--", ":!*__pycache__*", ":!*_cache"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nbformat.NotebookNode]:
    before = changed()
    folder = tmp_path_factory.mktemp("notebooks")
    with ThreadPoolExecutor(2) as threads:  # each waits for a process of its own
        notebooks = list(threads.map(lambda path: execute(path, folder / path.stem), NOTEBOOKS))
    assert changed() == before, "a notebook wrote into the checkout"
    return {path.stem: notebook for path, notebook in zip(NOTEBOOKS, notebooks, strict=True)}


def check_pictures(notebook: nbformat.NotebookNode, least: int) -> None:
    shown = pictures(notebook)
    assert len(shown) >= least
    for picture in shown:
        assert min(picture.shape) > 100 and picture.std() > 10, "a picture is blank"


def test_each_is_known() -> None:
    assert [p.stem for p in NOTEBOOKS] == sorted(LEAST)


@pytest.mark.parametrize("name", LEAST)
def test_it_runs_and_shows_its_pictures(name: str, executed: dict[str, nbformat.NotebookNode]) -> None:
    notebook = executed[name]
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    check_pictures(notebook, LEAST[name])
    assert str(ROOT) not in words(notebook) and tempfile.gettempdir() not in words(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_is_stored_is_complete_and_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert notebook.metadata == METADATA and not any(cell.metadata for cell in notebook.cells)
    check_pictures(notebook, LEAST[path.stem])
    for _, png in pngs(notebook):
        with Image.open(io.BytesIO(png)) as image:
            assert not image.info.keys() & {"Software", "Author", "Comment"}
    said = words(notebook) + "".join(cell.source for cell in notebook.cells)
    assert not re.findall(r"(?:^|[\s'\"(=])(?:/[\w.-]+){2,}", said), "an absolute path"
    assert not re.findall(r"Warning|Traceback|\bat 0x[0-9a-f]+|\d+it/s", said)
    assert path.stat().st_size < LARGEST


def test_the_denoiser_has_at_most_40_lines() -> None:
    notebook = nbformat.read(next(p for p in NOTEBOOKS if p.stem == "2_add_your_denoiser"), as_version=4)
    cell = next(c.source for c in notebook.cells if c.source.startswith("%%writefile"))
    assert len([line for line in cell.splitlines()[1:] if line.strip()]) <= 40
