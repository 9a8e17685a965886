"""A screen as an SVG file that looks the same wherever it is opened.

Curves and blocks are drawn as shapes and not written as characters, because a font that lacks braille, or has it in
another width, tears a chart apart, and a picture in a document may load no font of its own. Words are written in
whatever monospaced font there is, stretched to their cells.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, TerminalTheme

from .cells import size_of, width_of

W, H = 8.4, 18.0
"""Of a cell, in pixels."""
PAD = 12.0
DOT = 2.2
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille cell."""
_WORDS = re.compile(r"\S+(?: \S+)*")
_ANSI = DEFAULT_TERMINAL_THEME.ansi_colors
OWN = TerminalTheme(
    (16, 20, 26), (201, 209, 219), [(c.red, c.green, c.blue) for c in map(_ANSI.__getitem__, range(16))]
)
"""Of a terminal that names its colours only, such as one of sixteen."""


GROUND = OWN.background_color.hex


def svg(rows: Sequence[Iterable[Segment]], ground: str | None = None, theme: TerminalTheme = OWN) -> str:
    """The picture of `rows` of styled text on a `ground`; colours of the terminal's own are those of `theme`."""
    ground = ground or GROUND
    width = max((sum(width_of(part.text) for part in row) for row in rows), default=0)
    backs: list[str] = []
    texts: list[str] = []
    dots: dict[tuple[str, int, int], list[int]] = defaultdict(list)  # rows of dots by colour, cell column, dot column
    blocks: dict[str, list[str]] = defaultdict(list)
    for y, row in enumerate(rows):
        for x, text, style in _placed(row):
            front, back = _colours(style, theme, ground)
            if back != ground:
                backs.append(_rect(x * W, y * H, width_of(text) * W, H, back))
            for word in _WORDS.finditer(_shapes(text, x, y, front, dots, blocks)):
                texts.append(_word(word[0], x + width_of(text[: word.start()]), y, front, style))
    drawn = [*backs, *_block_paths(blocks), *_dot_paths(dots), *texts]
    wide, tall = width * W + 2 * PAD, len(rows) * H + 2 * PAD
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(wide)} {_n(tall)}" xml:space="preserve" '
        'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="14">\n'
        f'<rect width="100%" height="100%" rx="8" fill="{ground}"/>\n'
        f'<g transform="translate({_n(PAD)} {_n(PAD)})">\n' + "\n".join(drawn) + "\n</g>\n</svg>\n"
    )


def _placed(row: Iterable[Segment]) -> Iterator[tuple[int, str, Style]]:
    x = 0
    for part in row:
        if part.text:
            yield x, part.text, part.style or Style()
            x += width_of(part.text)


def _colours(style: Style, theme: TerminalTheme, ground: str) -> tuple[str, str]:
    front = _hex(style.color, theme, True) if style.color else theme.foreground_color.hex
    back = _hex(style.bgcolor, theme, False) if style.bgcolor and not style.bgcolor.is_default else ground
    return (back, front) if style.reverse else (front, back)


def _hex(colour: Color, theme: TerminalTheme, foreground: bool) -> str:
    return colour.get_truecolor(theme, foreground).hex


def _shapes(
    text: str,
    x: int,
    y: int,
    front: str,
    dots: dict[tuple[str, int, int], list[int]],
    blocks: dict[str, list[str]],
) -> str:
    """Take the curves and blocks out of `text`, which gets blanks in their place."""
    if text.isascii():
        return text
    left = []
    for char in text:
        code = ord(char)
        if 0x2800 <= code < 0x2900:
            for bit, (column, row) in enumerate(_DOTS):
                if code >> bit & 1:
                    dots[front, x, column].append(4 * y + row)
        elif char == "▀":
            blocks[front].append(_box(x, y, W, H / 2))
        elif "▁" <= char <= "█":
            tall = (code - 0x2580) * H / 8
            blocks[front].append(_box(x, y, W, tall, H - tall))
        elif "▉" <= char <= "▏":
            blocks[front].append(_box(x, y, (0x2590 - code) * W / 8, H))
        else:
            left.append(char)
            x += size_of(char)
            continue
        left.append(" ")
        x += 1
    return "".join(left)


def _word(word: str, x: int, y: int, front: str, style: Style) -> str:
    weight = ' font-weight="bold"' if style.bold else ""
    weight += ' text-decoration="underline"' if style.underline else ""
    weight += ' opacity=".6"' if style.dim else ""
    long = width_of(word) * W
    return (
        f'<text x="{_n(x * W)}" y="{_n(y * H + 13.5)}" textLength="{_n(long)}" lengthAdjust="spacingAndGlyphs" '
        f'fill="{front}"{weight}>{escape(word)}</text>'
    )


def _block_paths(blocks: dict[str, list[str]]) -> Iterator[str]:
    for front, boxes in blocks.items():
        yield f'<path fill="{front}" d="{"".join(boxes)}"/>'


def _dot_paths(dots: dict[tuple[str, int, int], list[int]]) -> Iterator[str]:
    """Dots above each other are one dashed line, which is a tenth of the bytes."""
    lines: dict[str, list[str]] = defaultdict(list)
    step = H / 4
    for (front, x, column), rows in dots.items():
        across = x * W + (column + 0.5) * W / 2
        rows = sorted(rows)
        start = 0
        for i in range(1, len(rows) + 1):
            if i == len(rows) or rows[i] != rows[i - 1] + 1:
                top, tall = rows[start] * step + (step - DOT) / 2, (rows[i - 1] - rows[start]) * step + DOT
                lines[front].append(f"M{_n(across)} {_n(top)}v{_n(tall)}")
                start = i
    for front, parts in lines.items():
        style = f'stroke-width="{DOT}" stroke-dasharray="{DOT} {_n(step - DOT)}"'
        yield f'<path stroke="{front}" fill="none" {style} d="{"".join(parts)}"/>'


def _rect(x: float, y: float, wide: float, tall: float, fill: str) -> str:
    return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" height="{_n(tall)}" fill="{fill}"/>'


def _box(x: int, y: int, wide: float, tall: float, down: float = 0.0) -> str:
    return f"M{_n(x * W)} {_n(y * H + down)}h{_n(wide)}v{_n(tall)}h{_n(-wide)}z"


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def save(folder: Path, run: str, step: int, drawn: str) -> Path:
    """Write an SVG beside those that are there already; gives its path. A run may have any name, a file may not.

    Raises:
        OSError: `folder` cannot be written.
    """
    stem = f"rlpeaks-{re.sub('[^A-Za-z0-9._-]', '_', run)[:80]}-{step}"
    for number in itertools.count(1):
        path = folder / (f"{stem}.svg" if number == 1 else f"{stem}-{number}.svg")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(drawn)
        except FileExistsError:
            continue
        return path
    raise AssertionError("numbers do not end")
