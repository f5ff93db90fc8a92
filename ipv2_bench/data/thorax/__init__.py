"""A digital chest phantom: noise-free axial CT sections of patients that never existed.

A :class:`Patient` is a solid: every structure is a function of the three coordinates, so that :func:`draw_section` can cut it
at any level, on any grid, and neighbouring cuts agree. Coordinates are in mm around the middle of the chest: ``x`` grows to
the patient's left (right in the picture), ``y`` to the back (down in the picture), ``z`` from the lung apex to the base.
``t`` is ``z`` over the height of the lungs.

Edges are soft signed distances about one pixel wide: they behave as the partial-volume average of a scanner and cost a
fraction of rendering on a finer grid.
"""

from ipv2_bench.data.thorax.patient import Patient
from ipv2_bench.data.thorax.section import Section, draw_section

__all__ = ["Patient", "Section", "draw_section"]
