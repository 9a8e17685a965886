"""The keys of the browser: what each does in it, and what its footer names, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

from ..strips import Hint

ACTIONS = {
    "browser.find": "ask",
    "browser.up": "down(-1)",
    "browser.down": "down(1)",
    "browser.page.up": "page(-1)",
    "browser.page.down": "page(1)",
    "browser.left": "right(-1)",
    "browser.right": "right(1)",
    "browser.first": "edge(False)",
    "browser.last": "edge(True)",
    "browser.open": "enter",
    "browser.tokens": "shade(1)",
    "browser.tokens.back": "shade(-1)",
    "browser.mark": "mark",
    "browser.through": "through",
    "browser.back": "out",
}
"""By id, as actions of the screen."""

_ROWS, _SIDE = "browser.up browser.down", "browser.left browser.right"
_BACK, _OPEN, _MARK = ("browser.back", "back"), "browser.open", ("browser.mark", "mark")
_THROUGH, _LEAVE = ("browser.through", "over time"), (("quit", "leave"), ("help", "help"))
_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "list": (
        _BACK, (_OPEN, "group"), ("browser.find", "find"), ("browser.tokens", "tokens"), _MARK, _THROUGH,
        ("back.1 on.1", "scrub"), *_LEAVE,
    ),
    "group": (_BACK, (_SIDE, "member"), (_ROWS, "scroll"), (_OPEN, "tokens"), _MARK, _THROUGH, *_LEAVE),
    "tokens": (_BACK, (f"{_SIDE} {_ROWS}", "token"), ("browser.tokens", "shade"), _MARK, _THROUGH, *_LEAVE),
    "through": (_BACK, (_OPEN, "group"), (_ROWS, "generation"), ("browser.mark", "mark its best"), *_LEAVE),
    "difference": (_BACK, (_ROWS, "scroll"), *_LEAVE),
}  # fmt: skip
"""For each layer what is named, by ids, in which words."""

_LONGEST = ("browser.back", "quit", "help")
"""What stays where the row is short."""


def hints(layer: str, marked: bool, shown: Mapping[str, str]) -> list[Hint]:
    """What the footer names in a layer, by the keys in force; a click does it, where it is one thing or scrubs."""
    words = {"mark": "compare", "mark its best": "compare its best"} if marked else {}
    found = []
    for i, (names, word) in enumerate(_WORDS[layer]):
        ids = names.split()
        key = shown[names] if len(ids) == 1 else " ".join(shown[name].split()[0] for name in ids)
        rank = _LONGEST.index(names) - len(_LONGEST) if names in _LONGEST else i
        command = ids[0] if len(ids) == 1 or word == "scrub" else ""
        click = ACTIONS.get(command, f"app.command({command!r})" if command else "")
        found.append(Hint(key, words.get(word, word), rank, command=click))
    return found
