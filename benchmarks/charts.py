"""Bars, and lines over time, as plain SVG that is readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from .results import number

WIDTH = 760
_MARGIN = 24
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2937 }
.title { font-size: 16px; font-weight: 600 } .muted { fill: #6b7280; font-size: 12px }
.ours { font-weight: 600 }
.right { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #e5e7eb; stroke-width: 1 } rect { fill: #b6c2d1 } rect.ours { fill: #0d9488 }
path { fill: none; stroke: #94a3b8; stroke-width: 2; stroke-linejoin: round }
path.ours { stroke: #0d9488 }
@media (prefers-color-scheme: dark) {
text { fill: #e5e7eb } .muted { fill: #9ca3af } .grid { stroke: #374151 } rect { fill: #475569 }
path { stroke: #64748b } rect.ours { fill: #14b8a6 } path.ours { stroke: #14b8a6 } }
"""


def bars(title: str, subtitle: str, values: Mapping[str, float], ours: Sequence[str]) -> str:
    """Horizontal bars from zero, longest first; the labels in `ours` stand out."""
    left, row, top = 250, 30, 76
    scale = (WIDTH - left - 80) / (max(values.values()) or 1)
    parts = []
    for index, (label, value) in enumerate(sorted(values.items(), key=lambda item: -item[1])):
        middle, kind = top + index * row, "ours" if label in ours else ""
        length = max(1.0, value * scale)
        parts += [
            _text(left - 10, middle + 4, label, f"right {kind}"),
            f'<rect class="{kind}" x="{left}" y="{middle - 9}" width="{length:.1f}" height="18"/>',
            _text(left + length + 8, middle + 4, number(value), kind),
        ]
    return _document(top + len(values) * row, title, subtitle, parts)


def lines(
    title: str,
    subtitle: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    ours: Sequence[str],
    unit: str,
) -> str:
    """Curves over seconds, each named at its end; the labels in `ours` stand out."""
    left, right, top, bottom = 64, WIDTH - 230, 76, 320
    points = [point for curve in series.values() for point in curve]
    x_ticks, y_ticks = _ticks(max(x for x, _ in points)), _ticks(max(y for _, y in points))
    x_scale = (right - left) / max(x for x, _ in points)
    y_scale = (bottom - top) / y_ticks[-1]
    parts = []
    for tick in y_ticks:
        y = bottom - tick * y_scale
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, f"{tick:g} {unit}", "muted right"))
    parts += [
        _text(left + tick * x_scale, bottom + 20, f"{tick:g} s", "muted middle")
        for tick in x_ticks[:-1]
    ]
    label_y = float("inf")
    for label, curve in sorted(series.items(), key=lambda item: item[1][-1][1]):
        kind = "ours" if label in ours else ""
        path = "L".join(f"{left + x * x_scale:.1f} {bottom - y * y_scale:.1f}" for x, y in curve)
        label_y = min(bottom - curve[-1][1] * y_scale + 4, label_y - 18)
        parts.append(f'<path class="{kind}" d="M{path}"/>')
        parts.append(_text(left + curve[-1][0] * x_scale + 8, label_y, label, kind))
    return _document(bottom + 36, title, subtitle, parts)


def _ticks(highest: float) -> list[float]:
    """Round numbers from zero to at least `highest`, three to six of them."""
    step = 10.0 ** floor(log10(max(highest, 1e-9)))
    step *= next(part for part in (0.2, 0.5, 1, 2) if highest / (step * part) <= 5)
    return [index * step for index in range(ceil(highest / step) + 1)]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind.strip()}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _document(height: float, title: str, subtitle: str, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">'
    heading = [_text(_MARGIN, 30, title, "title"), _text(_MARGIN, 50, subtitle, "muted")]
    title_element = f"<title>{escape(title)}</title>"
    return (
        "\n".join([head, title_element, f"<style>{_STYLE}</style>", *heading, *parts, "</svg>"])
        + "\n"
    )
