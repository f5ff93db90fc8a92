"""Two images over each other with a slider between them; side by side where the page's script does not run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ipv2_bench.benchmark.report.image_sets import GROUPS
from ipv2_bench.benchmark.report.pictures import Picture, Slice


def slider(slices: Sequence[Slice], wanted: Sequence[str]) -> str:
    """uLDCT and an output of the first slice, and the controls by which any two image sets can be chosen.

    Parameters
    ----------
    slices
        The example slices.
    wanted
        How the title of the output may end that is shown at first; the first ending that fits is taken.
    """
    first = slices[0].pictures
    left = next(p for p in first if p.shown.title == "uLDCT")
    outputs = [p for p in first if p.shown.group == "output"]
    fitting = (p for ending in wanted for p in outputs if p.shown.title.endswith(ending))
    right = next(fitting, (outputs or first)[-1])
    which = "".join(f'<option value="{i}">{i} of {len(slices)}</option>' for i in range(1, len(slices) + 1))
    return f"""
<div class="viewer" id="viewer">
<div class="controls" hidden>
<label>Left <select id="left">{_options(first, left)}</select></label>
<label>Right <select id="right">{_options(first, right)}</select></label>
<label>Slice <select id="slice">{which}</select></label>
</div>
<div class="stage">{_image(left, "left")}{_image(right, "right")}</div>
<div class="controls" hidden>
<label class="wide" for="cut">Border between left and right</label>
<input type="range" id="cut" min="0" max="100" value="50">
<label class="check"><input type="checkbox" id="difference"> Show the difference instead (left − right, grey is none)</label>
</div>
</div>"""


def _options(pictures: Sequence[Picture], chosen: Picture) -> str:
    out = ""
    for group, title in GROUPS.items():
        own = [
            f'<option value="{k}"{" selected" * (p is chosen)}>{escape(p.shown.title)}</option>'
            for k, p in enumerate(pictures)
            if p.shown.group == group
        ]
        out += f'<optgroup label="{title}">{"".join(own)}</optgroup>' if own else ""
    return out


def _image(picture: Picture, side: str) -> str:
    title = escape(picture.shown.title)
    n = picture.shown.images.shape[-1]
    image = f'<img src="{picture.whole}" width="{n}" height="{n}" alt="{title}, slice 1">'
    return f'<figure class="{side}">{image}<figcaption>{title}</figcaption></figure>'
