"""Run the notebooks; ``python -m tests.notebook_files`` stores what they show in them (``make notebooks``)."""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook, run from its first cell to its last in ``folder``, which also takes what Jupyter would put at home.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        At the first cell that fails.
    """
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    for name in ("start", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder / "start")}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # it warns that it speaks over this machine's own ports
    )
    manager = client.create_kernel_manager()
    # Neither a file nor a look into the user's own folders: the kernel is this environment's.
    manager.connection_file = str(folder / "kernel.json")
    manager.kernel_spec_manager.kernel_dirs = []
    client.execute(env={**os.environ, **_environment(folder)})
    return notebook


def _environment(folder: Path) -> dict[str, str]:
    given = {f"JUPYTER_{kind}_DIR": str(folder / "jupyter") for kind in ("CONFIG", "DATA", "RUNTIME")}
    given |= {"IPYTHONDIR": str(folder / "ipython"), "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT)}
    # Two threads that wait for each other on a busy machine take longer than one.
    return {**given, "IPV2_BENCH_CT": "", "OMP_NUM_THREADS": "1"}


def pictures(notebook: nbformat.NotebookNode) -> list[np.ndarray]:
    """Every PNG among the outputs, in order, grey uint8 [H, W]."""
    return [np.asarray(Image.open(io.BytesIO(png)).convert("L")) for _, png in pngs(notebook)]


def words(notebook: nbformat.NotebookNode) -> str:
    """All text of the outputs, but for pictures."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = {**output.get("data", {}), "stream": output.get("text", "")}
            texts += [text for kind, text in data.items() if not kind.startswith("image/")]
    return "\n".join(texts)


def pngs(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, bytes]]:
    """Every PNG among the outputs, with the output's data that holds it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                yield output.data, base64.b64decode(output.data["image/png"])


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leave nothing of this machine or hour: no times, no version of Python, no word in a PNG on what drew it."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            # "<Figure size …>" is of no use beside the figure.
            if "image/png" in output.get("data", {}):
                output.data.pop("text/plain", None)
    for data, png in pngs(notebook):
        small = io.BytesIO()
        with Image.open(io.BytesIO(png)) as image:
            rgb = image.convert("RGB")
            pixels = np.asarray(rgb)
            grey = bool((pixels == pixels[..., :1]).all())
            # 256 colours are all that a figure has, but for a blend at the border of letters.
            few = rgb.convert("L") if grey else rgb.quantize(256, dither=Image.Dither.NONE)
            few.save(small, format="png", optimize=True)
        data["image/png"] = base64.b64encode(small.getvalue()).decode()


def main() -> None:
    """Run every notebook, or those that are named, and store their outputs in them."""
    chosen = [p for p in NOTEBOOKS if not sys.argv[1:] or any(word in p.name for word in sys.argv[1:])]
    for path in chosen:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder))
        tidy(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.monotonic() - begun:.0f} s, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
