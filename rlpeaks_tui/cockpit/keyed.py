"""What keys are bound to, whoever does it, and the keys that hold within one screen only, over the cockpit's own.

It stands below the screens, which bind these, and below the table of commands, which lists them with all others for
the help, the footers and the settings.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from textual.binding import Binding

BROWSER, QUESTION = "Completions browser", "Questions"


class Keyed(Struct, frozen=True):
    """Something that keys can be bound to.

    Attributes:
        id: the name by which its keys can be changed.
        keys: as Textual names them; none for a command of the palette only.
        shown: the first of the keys, or all, as a person reads them: captions and footers have no room for more.
        title: in the palette and the help.
        group: heading in the help.
    """

    id: str
    keys: tuple[str, ...]
    shown: str
    title: str
    group: str

    @property
    def every(self) -> str:
        """All the keys as a person reads them."""
        named = self.shown.split()
        return " ".join([*named, *self.keys[len(named) :]])

    @property
    def where(self) -> str:
        """The kind of screen within which alone it holds; empty for the cockpit's own commands."""
        return self.group if self.group in (BROWSER, QUESTION) else ""


class Within(Keyed, frozen=True):
    """Something that one screen does. Those of one title share a row of the help, but for what is not `listed`."""

    listed: bool = True


_ROWS, _SIDE, _EDGE = (
    "Another completion, line of a text, or row",
    "A step in time, a member, or a token",
    "The first (the list follows the run), the last",
)
_TOKENS = "Tokens; there the next shade, the one before"
_ANOTHER, _YES = "Another option; past the end another field", "Yes, or no, where nothing else is asked"

WITHIN: tuple[Within, ...] = (
    Within("browser.find", ("slash",), "/", "Find: filters, /regular expression/, or text", BROWSER),
    Within("browser.up", ("up", "k"), "↑ k", _ROWS, BROWSER),
    Within("browser.down", ("down", "j"), "↓ j", _ROWS, BROWSER),
    Within("browser.page.up", ("pageup",), "pgup", "Up by a screen", BROWSER, listed=False),
    Within("browser.page.down", ("pagedown",), "pgdn", "Down by a screen", BROWSER, listed=False),
    Within("browser.left", ("left", "h"), "← h", _SIDE, BROWSER),
    Within("browser.right", ("right", "l"), "→ l", _SIDE, BROWSER),
    Within("browser.first", ("home",), "home", _EDGE, BROWSER),
    Within("browser.last", ("end",), "end", _EDGE, BROWSER),
    Within("browser.open", ("enter",), "enter", "Open the group, then the tokens", BROWSER),
    Within("browser.tokens", ("v",), "v", _TOKENS, BROWSER),
    Within("browser.tokens.back", ("V",), "V", _TOKENS, BROWSER),
    Within("browser.mark", ("x",), "x", "Mark it; on another one: how the two differ", BROWSER),
    Within("browser.through", ("o",), "o", "The same prompt over time", BROWSER),
    Within("browser.back", ("escape",), "esc", "One layer out", BROWSER),
    Within("question.send", ("enter",), "enter", "Do what is asked, take the line", QUESTION),
    Within("question.leave", ("escape",), "esc", "Leave it", QUESTION),
    Within("question.next", ("tab",), "tab", "Next field", QUESTION),
    Within("question.prev", ("shift+tab",), "shift+tab", "Field before", QUESTION, listed=False),
    Within("question.up", ("up", "k"), "↑ k", _ANOTHER, QUESTION),
    Within("question.down", ("down", "j"), "↓ j", _ANOTHER, QUESTION),
    Within("question.left", ("left", "h"), "← h", _ANOTHER, QUESTION),
    Within("question.right", ("right", "l", "space"), "→ l space", _ANOTHER, QUESTION),
    Within("question.first", ("home", "pageup"), "home pgup", "First option", QUESTION, listed=False),
    Within("question.last", ("end", "pagedown"), "end pgdn", "Last option", QUESTION, listed=False),
    Within("question.yes", ("y",), "y", _YES, QUESTION),
    Within("question.no", ("n", "q"), "n q", _YES, QUESTION),
)

OUT_OF_A_LINE = ("question.send", "question.leave")
"""What has to be done while a line is typed, so that no key for it may be a character."""

_BY_ID = {own.id: own for own in WITHIN}


def bound(name: str, action: str) -> Binding:
    """The binding of one of `WITHIN` to an action of the screen; its id lets a keymap change the keys."""
    return Binding(",".join(_BY_ID[name].keys), action, show=False, id=name)


def shown(table: Iterable[Keyed]) -> dict[str, str]:
    """How a person reads the keys, by id."""
    return {each.id: each.shown for each in table}


def meanings(table: Iterable[Keyed]) -> dict[str, str]:
    """What a key means in a list over the cockpit, by id: the cockpit's own commands, else those of the browser."""
    by_key = {
        where: {key: each.id for each in table if each.where == where for key in each.keys} for where in ("", BROWSER)
    }
    return by_key[BROWSER] | by_key[""]


def usual(table: Iterable[Keyed], where: str) -> dict[str, str]:
    """For each key that means something within a kind of screen: the key that meant this before keys were changed.

    It is empty for one that means nothing any more.
    """
    found = {key: "" for own in WITHIN if own.where == where for key in own.keys}
    for own in table:
        if own.where == where:
            before = _BY_ID[own.id].keys
            found |= {key: key if key in before else before[0] for key in own.keys}
    return found
