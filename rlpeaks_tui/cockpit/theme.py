"""What each ink looks like on a terminal: dark, light, sixteen colours, or none.

Hues follow Okabe and Ito's palette for colour-blind readers (2008), toned down so that a screen of curves stays
calm and only a finding stands out. Where two hues are one to an eye without red, green or blue cones (blue and violet,
orange and olive), their lightness differs instead. On a terminal with few colours or none every distinction is still
there, because no drawing relies on hue alone: lines have names, states have words, shades have numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from rich.style import Style
from textual.theme import Theme

from .cells import BOLD, HEAT, MEANING, RAISED, REVERSE, SOFT, TINT, UNDERLINE, Ink

Rgb = tuple[int, int, int]

DARK: Mapping[Ink, str] = {
    Ink.TEXT: "#c9d1db",
    Ink.DIM: "#8b96a5",
    Ink.FAINT: "#59636f",
    Ink.RULE: "#2a323c",
    Ink.GOOD: "#7fbf7f",
    Ink.WARN: "#e9b44c",
    Ink.BAD: "#ec7a5c",
    Ink.ACCENT: "#8ec7f0",
    Ink.UNKNOWN: "#77818e",
    Ink.MARK: "#a9b4c2",
    Ink.CURSOR: "#ffffff",
    Ink.KEY: "#e3e8ee",
    Ink.REWARD: "#73a3df",
    Ink.ENTROPY: "#e2a258",
    Ink.KL: "#c086bb",
    Ink.CALIBRATION: "#45ae92",
    Ink.SPARSITY: "#e4d576",
    Ink.FORMAT: "#aec1ff",
    Ink.SERIES_0: "#73a3df",
    Ink.SERIES_1: "#e2a258",
    Ink.SERIES_2: "#45ae92",
    Ink.SERIES_3: "#c086bb",
    Ink.SERIES_4: "#e4d576",
    Ink.SERIES_5: "#de805f",
    Ink.SERIES_6: "#aec1ff",
    Ink.SERIES_7: "#a9b4c2",
}

LIGHT: Mapping[Ink, str] = {
    Ink.TEXT: "#242a31",
    Ink.DIM: "#5c6671",
    Ink.FAINT: "#868f99",
    Ink.RULE: "#d9dde2",
    Ink.GOOD: "#2e7c38",
    Ink.WARN: "#99680e",
    Ink.BAD: "#972201",
    Ink.ACCENT: "#0b64a5",
    Ink.UNKNOWN: "#6e7381",
    Ink.MARK: "#4d5864",
    Ink.CURSOR: "#000000",
    Ink.KEY: "#11161b",
    Ink.REWARD: "#0f74be",
    Ink.ENTROPY: "#aa6108",
    Ink.KL: "#995190",
    Ink.CALIBRATION: "#037b5f",
    Ink.SPARSITY: "#656624",
    Ink.FORMAT: "#20328a",
    Ink.SERIES_0: "#0f74be",
    Ink.SERIES_1: "#aa6108",
    Ink.SERIES_2: "#037b5f",
    Ink.SERIES_3: "#995190",
    Ink.SERIES_4: "#656624",
    Ink.SERIES_5: "#7a2308",
    Ink.SERIES_6: "#20328a",
    Ink.SERIES_7: "#4d5864",
}

# Blue is all but black on a dark ground on most of these terminals, and so is not among them.
SIXTEEN: Mapping[Ink, str] = {
    Ink.TEXT: "default",
    Ink.DIM: "dim",
    Ink.FAINT: "dim",
    Ink.RULE: "dim",
    Ink.GOOD: "green",
    Ink.WARN: "bold yellow",
    Ink.BAD: "bold red",
    Ink.ACCENT: "bright_cyan",
    Ink.UNKNOWN: "dim",
    Ink.MARK: "white",
    Ink.CURSOR: "bold bright_white",
    Ink.KEY: "bold",
    Ink.REWARD: "bright_blue",
    Ink.ENTROPY: "yellow",
    Ink.KL: "magenta",
    Ink.CALIBRATION: "cyan",
    Ink.SPARSITY: "bright_yellow",
    Ink.FORMAT: "bright_magenta",
    Ink.SERIES_0: "bright_blue",
    Ink.SERIES_1: "yellow",
    Ink.SERIES_2: "cyan",
    Ink.SERIES_3: "magenta",
    Ink.SERIES_4: "bright_yellow",
    Ink.SERIES_5: "red",
    Ink.SERIES_6: "bright_magenta",
    Ink.SERIES_7: "white",
}

PLAIN: Mapping[Ink, str] = {
    Ink.DIM: "dim",
    Ink.FAINT: "dim",
    Ink.RULE: "dim",
    Ink.WARN: "bold",
    Ink.BAD: "bold reverse",
    Ink.UNKNOWN: "dim",
    Ink.CURSOR: "bold",
    Ink.KEY: "bold",
}

# Cividis (Nunez et al. 2018) by its ends and middle, lightened at the dark end so that it stays visible on the ground.
HEAT_DARK: tuple[Rgb, ...] = (
    (28, 42, 72),
    (62, 76, 110),
    (108, 110, 118),
    (150, 143, 112),
    (200, 182, 92),
    (252, 230, 92),
)
HEAT_LIGHT: tuple[Rgb, ...] = (
    (244, 238, 205),
    (222, 205, 128),
    (176, 160, 112),
    (122, 118, 118),
    (70, 82, 112),
    (10, 34, 78),
)


class Palette(Struct, frozen=True):
    """How one kind of terminal shows inks.

    Attributes:
        name: of the theme.
        inks: a rich style, or a colour in hex, by ink; what is missing is plain.
        ground: the background in hex, or None for the terminal's own.
        tint, raised: other grounds; without colours reverse stands for a raised one.
        heat: anchors of the heat scale, evenly spaced; empty without colours.
    """

    name: str
    inks: Mapping[Ink, str]
    ground: str | None = None
    tint: str | None = None
    raised: str | None = None
    heat: tuple[Rgb, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether heat has no colours here, so that drawings must use glyphs for it."""
        return not self.heat

    def style(self, ink: int) -> Style:
        """The style of an ink with its flags."""
        if ink & RAISED and not self.raised:
            # One block: a row whose every ink were reversed by itself would be a row of coloured ones.
            bold = bool(ink & BOLD and not ink & HEAT)
            return Style(reverse=True, bold=bold or None, underline=bool(ink & UNDERLINE) or None)
        if ink & HEAT:
            return self._heat(ink)
        meaning = self.inks.get(Ink(ink & MEANING), "")
        ground = self.ground
        if ink & TINT and self.tint:
            ground = self.tint
        if ink & RAISED and self.raised:
            ground = self.raised
        if meaning.startswith("#"):
            colour = meaning
            if ink & SOFT and self.ground:
                colour = _hex(_blend(_rgb(self.ground), _rgb(meaning), 0.45))
            style = Style(color=colour, bgcolor=ground)
        else:
            style = Style.parse(meaning) if meaning else Style()
            if ground:
                style += Style(bgcolor=ground)
            if ink & SOFT:
                style += Style(dim=True)
        if ink & BOLD:
            style += Style(bold=True)
        if ink & UNDERLINE:
            style += Style(underline=True)
        if ink & REVERSE:
            style += Style(reverse=not style.reverse)
        return style

    def _heat(self, ink: int) -> Style:
        if not self.heat:
            return Style()
        above = self._level(ink & 15)
        below = self._level(ink >> 4 & 15) if ink & TINT else self.ground
        return Style(color=above, bgcolor=below, underline=bool(ink & UNDERLINE) or None)

    def _level(self, level: int) -> str:
        place = level / 15 * (len(self.heat) - 1)
        at = min(int(place), len(self.heat) - 2)
        return _hex(_blend(self.heat[at], self.heat[at + 1], place - at))


PALETTES: Mapping[str, Palette] = {
    "dark": Palette("dark", DARK, ground="#10141a", tint="#1a2129", raised="#242d38", heat=HEAT_DARK),
    "light": Palette("light", LIGHT, ground="#fbfaf7", tint="#f0eee8", raised="#e3e6ea", heat=HEAT_LIGHT),
    "sixteen": Palette("sixteen", SIXTEEN),
    "plain": Palette("plain", PLAIN),
}


def choose(color_system: str | None, no_color: bool, wanted: str = "dark") -> Palette:
    """The palette for a terminal: `color_system` is rich's name for what it can show."""
    if no_color or color_system is None:
        return PALETTES["plain"]
    if color_system in ("truecolor", "256"):
        return PALETTES[wanted]
    return PALETTES["sixteen"]


def textual_theme(palette: Palette) -> Theme:
    """The same look for Textual's own widgets (palette, inputs, scroll bars)."""
    if palette.ground is None:
        return Theme(
            name=f"rlpeaks-{palette.name}",
            ansi=True,
            primary="ansi_default",
            secondary="ansi_default",
            warning="ansi_yellow",
            error="ansi_red",
            success="ansi_green",
            accent="ansi_default",
            foreground="ansi_default",
            background="ansi_default",
            surface="ansi_default",
            panel="ansi_default",
            boost="ansi_default",
            variables={
                "ansi-background": "ansi_black",
                "ansi-foreground": "ansi_white",
                "block-cursor-foreground": "ansi_black",
                "block-cursor-background": "ansi_white",
                "input-cursor-background": "ansi_white",
                "input-cursor-foreground": "ansi_black",
                "input-selection-background": "ansi_white",
                "input-selection-foreground": "ansi_black",
                "screen-selection-background": "ansi_white",
                "screen-selection-foreground": "ansi_black",
            },
        )
    inks = palette.inks
    return Theme(
        name=f"rlpeaks-{palette.name}",
        dark=palette.name == "dark",
        primary=inks[Ink.REWARD],
        secondary=inks[Ink.FORMAT],
        warning=inks[Ink.WARN],
        error=inks[Ink.BAD],
        success=inks[Ink.GOOD],
        accent=inks[Ink.ACCENT],
        foreground=inks[Ink.TEXT],
        background=palette.ground,
        surface=palette.tint,
        panel=palette.raised,
    )


def _rgb(text: str) -> Rgb:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _hex(rgb: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _blend(a: Rgb, b: Rgb, share: float) -> Rgb:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue
