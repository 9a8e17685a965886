"""The keys of the browser, for its footer and for the help; they hold while it is open, over those of the cockpit."""

from __future__ import annotations

from ..strips import Hint

TITLE = "Completions browser"

KEYS: tuple[tuple[str, str], ...] = (
    ("/", "Find: filters, /regular expression/, or text"),
    ("↑ ↓", "Another completion, line of a text, or row"),
    ("← →", "A step in time, a member, or a token"),
    ("home end", "The first (the list follows the run), the last"),
    ("enter", "Open the group, then the tokens"),
    ("v V", "Tokens; there the next shade, the one before"),
    ("x", "Mark it; on another one: how the two differ"),
    ("o", "The same prompt over time"),
    ("esc", "One layer out"),
)

_LEAVE = (("q", "leave"), ("?", "help"))
_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "list": (
        ("esc", "back"), ("enter", "group"), ("/", "find"), ("v", "tokens"), ("x", "mark"), ("o", "over time"),
        ("[ ]", "scrub"), *_LEAVE,
    ),
    "group": (
        ("esc", "back"), ("← →", "member"), ("↑ ↓", "scroll"), ("enter", "tokens"), ("x", "mark"), ("o", "over time"),
        *_LEAVE,
    ),
    "tokens": (("esc", "back"), ("← → ↑ ↓", "token"), ("v", "shade"), ("x", "mark"), ("o", "over time"), *_LEAVE),
    "through": (("esc", "back"), ("enter", "group"), ("↑ ↓", "generation"), ("x", "mark its best"), *_LEAVE),
    "difference": (("esc", "back"), ("↑ ↓", "scroll"), *_LEAVE),
}  # fmt: skip

_CLICKS = {
    "esc": "out",
    "enter": "enter",
    "/": "ask",
    "v": "shade(1)",
    "x": "mark",
    "o": "through",
    "[ ]": "app.command('back.1')",
    "q": "app.command('quit')",
    "?": "app.command('help')",
}
"""What a click on a key of the footer does, as an action of the screen."""


def hints(layer: str, marked: bool) -> list[Hint]:
    """What the footer names in a layer; the way out and the help stay longest where the row is short."""
    words = {"mark": "compare", "mark its best": "compare its best"} if marked else {}
    ranks = {"esc": -3, "q": -2, "?": -1}
    return [
        Hint(key, words.get(word, word), ranks.get(key, i), command=_CLICKS.get(key, ""))
        for i, (key, word) in enumerate(_WORDS[layer])
    ]
