"""Boxes and arrows as SVG that is readable on light and dark pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.sax.saxutils import escape

_STYLE = """
  .page { fill: #ffffff; }
  .box { fill: #f4f6fa; stroke: #64748b; stroke-width: 1.2; }
  .note { fill: none; }
  .group { fill: none; stroke: #94a3b8; stroke-width: 1.2; stroke-dasharray: 5 4; }
  .good { fill: #e6f4ea; stroke: #2e7d4f; }
  .bad { fill: #fdeceb; stroke: #b3423a; }
  .key { fill: #e8f0fe; stroke: #3461b8; }
  .line { fill: none; stroke: #475569; stroke-width: 1.4; }
  .head { fill: #475569; }
  text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1e293b; }
  .title { font-weight: 600; }
  .small { font-size: 11.5px; fill: #475569; }
  .label-back { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    .page, .label-back { fill: #14181f; }
    .box { fill: #1f2733; stroke: #8094b0; }
    .group { stroke: #64748b; }
    .good { fill: #173324; stroke: #5cb683; }
    .bad { fill: #3d1f1d; stroke: #e08a82; }
    .key { fill: #1b2a4a; stroke: #7ea2ec; }
    .line { stroke: #a9b7ca; }
    .head { fill: #a9b7ca; }
    text { fill: #e6ebf2; }
    .small { fill: #b4c0d0; }
  }
"""
_LINE_HEIGHT = 17
_CHARACTER = 6.3
"""About the width of one, in small text."""


@dataclass(frozen=True)
class Box:
    """A rectangle with lines of text; the first one is its title.

    Attributes:
        look: `box`, `key`, `good`, `bad`, `note` or `group`; a group's text is at its top, and a
            note is text alone.
    """

    x: float
    y: float
    width: float
    height: float
    text: str
    look: str = "box"

    def at(self, side: str, share: float = 0.5) -> tuple[float, float]:
        """Returns a point on a side: left, right, top or bottom; `share` is along it."""
        across, down = self.x + share * self.width, self.y + share * self.height
        return {
            "left": (self.x, down),
            "right": (self.x + self.width, down),
            "top": (across, self.y),
            "bottom": (across, self.y + self.height),
        }[side]

    def draw(self) -> str:
        """Returns the SVG elements."""
        title, *lines = self.text.split("\n")
        middle = self.x + self.width / 2
        first = self.y + self.height / 2 - len(lines) * _LINE_HEIGHT / 2 + 4.5
        if self.look == "group":
            first = self.y + 19
        look = self.look if self.look in ("box", "group", "note") else f"box {self.look}"
        texts = [_text(middle, first, title, "small" if self.look == "note" else "title")]
        texts += [
            _text(middle, first + (index + 1) * _LINE_HEIGHT, line, "small")
            for index, line in enumerate(lines)
        ]
        rectangle = (
            f'<rect class="{look}" x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" '
            f'height="{self.height:g}" rx="7"/>'
        )
        return "\n".join((rectangle, *texts))


@dataclass(frozen=True)
class Arrow:
    """A line with a head through some points; its label stands at the middle of a segment.

    Attributes:
        segment: which one has the label, from 0.
    """

    points: tuple[tuple[float, float], ...]
    label: str = ""
    segment: int = 0
    is_dashed: bool = False

    def draw(self) -> str:
        """Returns the SVG elements."""
        path = " L ".join(f"{x:g} {y:g}" for x, y in self.points)
        dashes = ' stroke-dasharray="6 4"' if self.is_dashed else ""
        line = f'<path class="line" d="M {path}"{dashes} marker-end="url(#head)"/>'
        return line if not self.label else f"{line}\n{self._draw_label()}"

    def _draw_label(self) -> str:
        (x1, y1), (x2, y2) = self.points[self.segment : self.segment + 2]
        lines = self.label.split("\n")
        width = max(map(len, lines)) * _CHARACTER + 8
        height = len(lines) * _LINE_HEIGHT
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        back = (
            f'<rect class="label-back" x="{x - width / 2:g}" y="{y - height / 2:g}" '
            f'width="{width:g}" height="{height:g}"/>'
        )
        texts = [
            _text(x, y - height / 2 + 12.5 + index * _LINE_HEIGHT, line, "small")
            for index, line in enumerate(lines)
        ]
        return "\n".join((back, *texts))


@dataclass
class Picture:
    """Groups first, then arrows, then boxes over them."""

    width: int
    height: int
    title: str
    boxes: list[Box] = field(default_factory=list[Box])
    arrows: list[Arrow] = field(default_factory=list[Arrow])

    def box(self, *arguments: float, text: str, look: str = "box") -> Box:
        """Adds a box: x, y, width, height."""
        x, y, width, height = arguments
        added = Box(x, y, width, height, text, look)
        self.boxes.append(added)
        return added

    def arrow(
        self,
        *points: tuple[float, float],
        label: str = "",
        segment: int = 0,
        is_dashed: bool = False,
    ) -> None:
        """Adds an arrow through some points."""
        self.arrows.append(Arrow(points, label, segment, is_dashed))

    def detour(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        *,
        y: float,
        label: str,
    ) -> None:
        """Adds an arrow that passes `y` between two points, with its label there."""
        self.arrow(start, (start[0], y), (end[0], y), end, label=label, segment=1)

    def draw(self) -> str:
        """Returns the SVG document."""
        groups = [box.draw() for box in self.boxes if box.look == "group"]
        boxes = [box.draw() for box in self.boxes if box.look != "group"]
        arrows = [arrow.draw() for arrow in self.arrows]
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>{_STYLE}</style>",
                '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
                'markerHeight="7" orient="auto-start-reverse">'
                '<path class="head" d="M 0 0 L 10 5 L 0 10 z"/></marker></defs>',
                f'<rect class="page" width="{self.width}" height="{self.height}" rx="10"/>',
                *groups,
                *arrows,
                *boxes,
                "</svg>",
                "",
            )
        )


def _text(x: float, y: float, text: str, look: str) -> str:
    return f'<text class="{look}" x="{x:g}" y="{y:g}" text-anchor="middle">{escape(text)}</text>'
