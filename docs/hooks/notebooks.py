"""The notebooks as pages, with the outputs that are stored in them."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put them into the navigation."""
    assert config.nav is not None
    config.nav.append({"Notebooks": [f"notebooks/{path.stem}.md" for path in NOTEBOOKS]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Generate a page from each notebook, and a file from each picture."""
    for path in NOTEBOOKS:
        text = []
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "markdown":
                text.append(cell.source.replace(".ipynb)", ".md)"))
                continue
            text.append(f"```python\n{cell.source}\n```")
            for index, output in enumerate(cell.outputs):
                data = output.get("data", {"text/plain": output.get("text", "")})
                if "image/png" in data:
                    name = f"{path.stem}_{number}_{index}.png"
                    png = base64.b64decode(data["image/png"])
                    files.append(File.generated(config, f"notebooks/{name}", content=png))
                    text.append(f"![output of the cell above]({name})")
                elif "text/markdown" in data:
                    text.append(data["text/markdown"].replace("\n## ", "\n### ").replace("## ", "#### ", 1))
                elif "text/html" in data:
                    text.append(f'<div class="output">{data["text/html"]}</div>')
                else:
                    text.append(f"```text\n{data['text/plain'].strip()}\n```")
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content="\n\n".join(text) + "\n"))
    return files
