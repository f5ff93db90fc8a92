"""HTML pages read back: every element with its attributes and text, and whether the tags close in order."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np

VOID = {"meta", "img", "input", "br", "hr", "link", "path", "rect", "circle"}


@dataclass
class Element:
    """An element: tag, attributes, all text in it, and the tags of those that it is in."""

    tag: str
    at: dict[str, str]
    text: str
    within: list[str]


class Page(HTMLParser):
    """All elements of a page in ``all``, and tags that do not close in order in ``wrong``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[Element] = []
        self.all: list[Element] = []
        self.wrong: list[str] = []
        self.feed(text)
        assert not self.open, self.open[-1]

    def _add(self, tag: str, attrs: list) -> Element:
        self.all.append(Element(tag, {k: v or "" for k, v in attrs}, "", [e.tag for e in self.open]))
        return self.all[-1]

    def handle_starttag(self, tag: str, attrs: list) -> None:
        element = self._add(tag, attrs)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self._add(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop().tag != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def of(self, *tags: str) -> list[Element]:
        """The elements of some tags."""
        return [e for e in self.all if e.tag in tags]


def contrast(a: str, b: str) -> float:
    """The ratio of WCAG 2 between two colours such as ``#1a2b3c``."""

    def luminance(colour: str) -> float:
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
