"""A picture holds every word at its place and every dot of every curve, and nothing that a completion would slip in."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.segment import Segment
from rich.style import Style

from rlpeaks_tui.cockpit.picture import H, W, svg
from tests.cockpit_fakes import steered_run
from tests.cockpit_pilot import app_of, opened, screen

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(picture).iter(f"{SVG}text"))


async def test_a_screen_keeps_its_words_in_their_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    async with opened(steered_run(tmp_path / "quickstart", steps=200).layout.root, (120, 40)) as pilot:
        rows = screen(app_of(pilot)).split("\n")
        picture = app_of(pilot).picture()
    for text in texts(picture):
        x, y = float(text.attrib["x"]) / W, (float(text.attrib["y"]) - 13.5) / H
        start = round(x)
        assert abs(x - start) < 0.01 and rows[round(y)][start : start + len(text.text or "")] == text.text
    drawn = {(round((float(t.attrib["y"]) - 13.5) / H), t.text) for t in texts(picture)}
    assert any("Reward" in (text or "") for _, text in drawn) and "font-face" not in picture


def test_every_dot_is_drawn_once() -> None:
    random = np.random.default_rng(4)
    bits = random.integers(0, 256, size=(3, 7))
    rows = [[Segment("".join(chr(0x2800 + bit) for bit in row), Style(color="#ff0000"))] for row in bits.tolist()]
    path = next(e for e in ElementTree.fromstring(svg(rows)).iter(f"{SVG}path"))
    dash, gap = map(float, path.attrib["stroke-dasharray"].split())
    lengths = [float(tall) for tall in re.findall(r"v([\d.]+)", path.attrib["d"])]
    # A line of n dots is n dashes and n - 1 gaps long.
    dots = sum(round((tall + gap) / (dash + gap)) for tall in lengths)
    assert dots == int(np.unpackbits(bits.astype(np.uint8)).sum())
    assert path.attrib["stroke"] == "#ff0000"


def test_blocks_are_shapes_and_markup_is_text() -> None:
    picture = svg([[Segment("█▄▏ <script>alert(1)</script> &amp;", Style(color="blue", reverse=True, bold=True))]])
    words = texts(picture)
    assert [word.text for word in words] == ["<script>alert(1)</script> &amp;"]
    assert float(words[0].attrib["x"]) == pytest.approx(4 * W, abs=0.01)
    boxes = next(e for e in ElementTree.fromstring(picture).iter(f"{SVG}path")).attrib["d"]
    assert boxes.count("M") == 3


def test_wide_characters_take_two_cells_and_an_empty_screen_is_a_picture_too() -> None:
    words = texts(svg([[Segment("日本 x")]]))
    assert float(words[0].attrib["textLength"]) == pytest.approx(6 * W, abs=0.01)
    assert ElementTree.fromstring(svg([])).tag == f"{SVG}svg"
