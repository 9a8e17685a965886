"""Inks on terminals: told apart with few colours, readable, and without colour at all where that is asked for."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from rich.color import Color, ColorSystem
from rich.style import Style

from rlpeaks_tui.cockpit.cells import BOLD, HEAT, RAISED, SOFT, TINT, Ink, heat
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
    palette = PALETTES[name]
    assert palette.ground is not None
    for ink, least in {Ink.TEXT: 7.0, Ink.DIM: 4.5, Ink.UNKNOWN: 3.0, Ink.FAINT: 2.3}.items():
        assert contrast(palette.inks[ink], palette.ground) >= least, ink
    for ink in (*TOLD_APART, *STATES[:3], Ink.ACCENT, Ink.MARK):
        assert contrast(palette.inks[ink], palette.ground) >= 4.0, ink


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
