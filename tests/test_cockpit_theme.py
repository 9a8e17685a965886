"""Inks on terminals: told apart with few colours, readable, and without colour at all where that is asked for."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.color import Color, ColorSystem
from rich.style import Style

from rlpeaks_tui.cockpit.cells import BOLD, HEAT, RAISED, SERIES, SOFT, TINT, Ink, heat
from rlpeaks_tui.cockpit.theme import PALETTES, choose, textual_theme

TOLD_APART = (Ink.REWARD, Ink.ENTROPY, Ink.KL, Ink.CALIBRATION, Ink.SPARSITY, Ink.FORMAT)
STATES = (Ink.GOOD, Ink.WARN, Ink.BAD, Ink.UNKNOWN)


def luminance(text: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def downgraded(style: Style, system: ColorSystem) -> tuple[object, ...]:
    """What is left of a style on a lesser terminal."""

    def of(color: Color | None) -> object:
        return None if color is None else color.downgrade(system)

    return of(style.color), of(style.bgcolor), style.bold, style.dim, style.reverse, style.underline


@pytest.mark.parametrize("name", ["dark", "light"])
def test_words_have_contrast(name: str) -> None:
    """WCAG 2: 4.5 for text, and 3 for what is written to be read second. A rule is no text."""
    palette = PALETTES[name]
    assert palette.ground is not None and palette.tint is not None and palette.raised is not None
    for ink in set(Ink) - {Ink.RULE}:
        least = 3.0 if ink in (Ink.DIM, Ink.FAINT) else 4.5
        assert contrast(palette.inks[ink], palette.ground) >= least, ink
        # A selected line and a band are the other grounds; there nothing is smaller than a whole word.
        if ink is not Ink.FAINT:
            assert min(contrast(palette.inks[ink], other) for other in (palette.tint, palette.raised)) >= 3.0, ink
    assert contrast(palette.inks[Ink.TEXT], palette.ground) >= 7.0


# Full loss of one kind of cone, from linear RGB to linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.0.
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
SRGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""Linear RGB to XYZ (IEC 61966-2-1)."""
TOLD = 10.0
"""Distance in CIE L*a*b* (1976) of two inks in one chart; 2.3 is a just noticeable difference of two patches."""


def seen(text: str, eye: NDArray[np.float64]) -> NDArray[np.float64]:
    """An ink in L*a*b* as an eye sees it."""
    parts = np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = SRGB @ np.clip(eye @ linear, 0, 1) / SRGB.sum(axis=1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lab_is_computed_as_published() -> None:
    assert seen("#ff0000", EYES["all cones"]) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert seen("#ffffff", EYES["all cones"]) == pytest.approx([100, 0, 0], abs=0.01)


@pytest.mark.parametrize("name", ["dark", "light"])
@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("group", [SERIES, TOLD_APART, STATES], ids=["series", "panels", "states"])
def test_inks_of_one_chart_are_told_apart_by_every_eye(name: str, eye: str, group: tuple[Ink, ...]) -> None:
    inks = {ink: seen(PALETTES[name].inks[ink], EYES[eye]) for ink in group}
    for a, b in combinations(group, 2):
        assert np.linalg.norm(inks[a] - inks[b]) >= TOLD, (a.name, b.name)


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("dark", ColorSystem.TRUECOLOR),
        ("dark", ColorSystem.EIGHT_BIT),
        ("light", ColorSystem.EIGHT_BIT),
        ("sixteen", ColorSystem.STANDARD),
    ],
)
@pytest.mark.parametrize("group", [TOLD_APART, STATES])
def test_what_must_be_told_apart_differs(name: str, system: ColorSystem, group: tuple[Ink, ...]) -> None:
    styles = {ink: downgraded(PALETTES[name].style(ink), system) for ink in group}
    for a, b in combinations(group, 2):
        assert styles[a] != styles[b], (a, b)


@pytest.mark.parametrize("name", PALETTES)
def test_every_ink_has_a_style_with_every_flag(name: str) -> None:
    palette = PALETTES[name]
    for ink in Ink:
        for flags in (0, BOLD, SOFT, TINT, RAISED, BOLD | SOFT | TINT):
            assert isinstance(palette.style(ink | flags), Style)
    for level in range(16):
        assert isinstance(palette.style(heat(level, 15 - level)), Style)
        assert heat(level) & HEAT


@pytest.mark.parametrize("name", ["sixteen", "plain"])
def test_soft_and_raised_show_without_hues(name: str) -> None:
    palette = PALETTES[name]
    assert palette.style(Ink.REWARD | SOFT) != palette.style(Ink.REWARD)
    assert palette.style(Ink.TEXT | RAISED).reverse


@pytest.mark.parametrize("name", ["sixteen", "plain"])
def test_a_selected_row_without_a_ground_is_one_block(name: str) -> None:
    palette = PALETTES[name]
    inks = [*(ink | flag for ink in Ink for flag in (0, SOFT, TINT)), heat(3), heat(3, 12)]
    assert len({palette.style(ink | RAISED) for ink in inks}) == 1
    assert palette.style(Ink.WARN | BOLD | RAISED).bold


def test_no_ink_of_sixteen_is_dark_on_dark() -> None:
    styles = [PALETTES["sixteen"].style(ink) for ink in Ink]
    assert not {style.color.name for style in styles if style.color} & {"black", "blue", "bright_black"}


def test_no_color_means_no_colour() -> None:
    palette = choose("truecolor", no_color=True)
    for ink in Ink:
        style = palette.style(ink | SOFT)
        assert style.color is None and style.bgcolor is None
    assert palette.flat


@pytest.mark.parametrize(
    ("system", "name"), [("truecolor", "dark"), ("256", "dark"), ("standard", "sixteen"), (None, "plain")]
)
def test_the_palette_fits_the_terminal(system: str | None, name: str) -> None:
    assert choose(system, no_color=False).name == name


def test_the_heat_scale_grows_steadily_in_brightness() -> None:
    for name, sign in (("dark", 1), ("light", -1)):
        palette = PALETTES[name]
        shades = [palette.style(heat(level)).color for level in range(16)]
        values = [luminance(shade.name) for shade in shades if shade is not None]
        assert len(values) == 16
        assert all(sign * (after - before) > 0 for before, after in pairwise(values))


def test_textual_gets_the_same_ground() -> None:
    assert textual_theme(PALETTES["dark"]).background == PALETTES["dark"].ground
    assert textual_theme(PALETTES["plain"]).ansi
