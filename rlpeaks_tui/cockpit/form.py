"""A question to the person before a command is sent: its fields, what it will do, and how it is drawn.

Pure functions like the panels: a form is a value, a key makes another one, and a drawing is cells. The command that a
form makes is read by the same reader as everybody's, so what cannot be sent is said while it is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.run.bounds import check
from rlpeaks_tui.run.requests import BadCommand, request

from .cells import BOLD, RAISED, REVERSE, UNDERLINE, Cells, Ink, fit, width_of, wrap
from .keyed import WITHIN, shown

Values = Mapping[str, str]
USUAL = shown(WITHIN)
LEAST_LIST = 3
SPARED = ("gaps", "title", "facts", "says")
"""What a low screen goes without, in this order."""
NARROW, BARE = 40, 24
"""Columns below which a list names its options only, and below which fields have no labels."""


class Option(Struct, frozen=True):
    """One of several: what it is called, what is said beside it, whether it is the one in force now, or `off`: grey."""

    value: str
    note: str = ""
    now: bool = False
    off: bool = False


class Choice(Struct, frozen=True):
    """One of some options: a list, or, when `inline`, words in a row."""

    name: str
    label: str
    options: tuple[Option, ...]
    inline: bool = False

    @property
    def start(self) -> str:
        return self.options[0].value if self.options else ""


class Blank(Struct, frozen=True):
    """A line to type into, `room` cells wide; `hint` says what is expected."""

    name: str
    label: str
    start: str = ""
    hint: str = ""
    room: int = 64


class Question(Struct, frozen=True):
    """What is asked.

    Attributes:
        title: what would be done.
        fields: in order; the first one has the focus.
        shows: facts about what is chosen, each with its name.
        says: what will happen, then what undoes it.
        words: the command; raises BadCommand where something is still missing.
        yes: what enter does.
        typed: the blank that takes digits typed into a list.
        rates: it shows how recent completions of each task did, which have to be read for it.
    """

    title: str
    says: Callable[[Values], Sequence[str]]
    words: Callable[[Values], Sequence[str]]
    yes: str
    fields: tuple[Choice | Blank, ...] = ()
    shows: Callable[[Values], Sequence[tuple[str, str]]] = lambda values: ()
    typed: str = ""
    rates: bool = False


class Form(Struct, frozen=True):
    """A question as far as it is answered.

    Attributes:
        values: a text for every field.
        focus: the field in focus.
        caret: in its text.
        selected: the whole text is; what is typed takes its place.
    """

    question: Question
    values: Values
    focus: int = 0
    caret: int = 0
    selected: bool = False

    @property
    def field(self) -> Choice | Blank | None:
        fields = self.question.fields
        return fields[self.focus] if fields else None


def begin(question: Question, given: Values | None = None) -> Form:
    """The question with what is `given` filled in; a choice takes only what it offers."""
    values = {}
    for field in question.fields:
        value = (given or {}).get(field.name, field.start)
        if isinstance(field, Choice) and value not in [option.value for option in field.options]:
            value = field.start
        values[field.name] = value
    return _focus(Form(question, values), 0)


def again(form: Form, question: Question) -> Form:
    """The same answers to the question as it is now: there may be a checkpoint more by now."""
    renewed = begin(question, form.values)
    focus = min(form.focus, max(0, len(question.fields) - 1))
    return replace(renewed, focus=focus, caret=form.caret, selected=form.selected)


def command(form: Form) -> tuple[list[str], str]:
    """The command in words, or none and what is wrong with it."""
    try:
        words = list(form.question.words(form.values))
        check(request(words[0], words[1:]))
    except BadCommand as error:
        return [], str(error)
    return words, ""


def press(form: Form, key: str, char: str | None = None) -> Form:
    """The form after a key, by Textual's name for it."""
    field = form.field
    if field is None:
        return form
    if key in ("tab", "shift+tab"):
        return _focus(form, form.focus + (1 if key == "tab" else -1))
    if isinstance(field, Blank):
        return _type(form, field, key, char)
    by = {"up": -1, "k": -1, "down": 1, "j": 1, "left": -1, "h": -1, "right": 1, "l": 1, "space": 1}.get(key)
    if field.inline and key in ("up", "down", "j", "k"):
        return _focus(form, form.focus + (by or 0))
    if by is not None:
        return _choose(form, field, by)
    if key in ("home", "end", "pageup", "pagedown"):
        return _choose(form, field, -len(field.options) if key in ("home", "pageup") else len(field.options))
    if char and char in "0123456789.-" and form.question.typed:
        at = [each.name for each in form.question.fields].index(form.question.typed)
        return insert(_focus(form, at), char)
    return form


def insert(form: Form, text: str) -> Form:
    """Text typed or pasted at the caret of the blank in focus."""
    field = form.field
    if not isinstance(field, Blank):
        return form
    before, caret = ("", 0) if form.selected else (form.values[field.name], form.caret)
    clean = "".join(char for char in text.replace("\n", " ") if char.isprintable())
    return _with(form, field.name, before[:caret] + clean + before[caret:], caret + len(clean))


def _with(form: Form, name: str, value: str, caret: int) -> Form:
    return replace(form, values={**form.values, name: value}, caret=caret, selected=False)


def _focus(form: Form, at: int) -> Form:
    fields = form.question.fields
    if not fields:
        return form
    at %= len(fields)
    text = form.values[fields[at].name]
    return replace(form, focus=at, caret=len(text), selected=isinstance(fields[at], Blank) and bool(text))


def _choose(form: Form, field: Choice, by: int) -> Form:
    names = [option.value for option in field.options]
    if not names:
        return form
    at = names.index(form.values[field.name]) + by
    # A step past the end of a list leads to the next field, so that arrows alone reach everything.
    if abs(by) == 1 and not field.inline and not 0 <= at < len(names) and len(form.question.fields) > 1:
        return _focus(form, form.focus + by)
    at = at % len(names) if field.inline else max(0, min(at, len(names) - 1))
    return _with(form, field.name, names[at], 0)


def _type(form: Form, field: Blank, key: str, char: str | None) -> Form:
    text, caret = form.values[field.name], form.caret
    if form.selected and key in ("backspace", "delete", "ctrl+u"):
        return _with(form, field.name, "", 0)
    form = replace(form, selected=form.selected and key not in ("left", "right", "home", "end", "ctrl+a", "ctrl+e"))
    match key:
        case "up" | "down":
            return _focus(form, form.focus + (1 if key == "down" else -1)) if len(form.question.fields) > 1 else form
        case "left" | "right":
            return replace(form, caret=max(0, min(len(text), caret + (1 if key == "right" else -1))))
        case "home" | "ctrl+a":
            return replace(form, caret=0)
        case "end" | "ctrl+e":
            return replace(form, caret=len(text))
        case "backspace":
            return _with(form, field.name, text[: max(0, caret - 1)] + text[caret:], max(0, caret - 1))
        case "delete":
            return _with(form, field.name, text[:caret] + text[caret + 1 :], caret)
        case "ctrl+u":
            return _with(form, field.name, text[caret:], 0)
    return insert(form, char) if char and char.isprintable() else form


def draw(form: Form, width: int, room: int, keys: Mapping[str, str] = USUAL) -> Cells:
    """The form in `width` columns and at most `room` rows; long lists show the part around what is chosen.

    Where that is too low, what can be done without goes first: the gaps, then the title, the facts, and what will
    happen. `keys` are those in force, by id, as a person reads them.
    """
    for spared in range(len(SPARED) + 1):
        cells, rows = _drawn(form, width, room, keys, SPARED[:spared])
        if rows <= room:
            break
    taken = Cells(width, min(room, rows))
    taken.blit(0, 0, cells)
    if rows > room:
        # Too low a screen: what enter and escape do stays, whatever else is cut.
        taken.fill(room - 1, 0, width, " ")
        ways = f"{keys['question.send']} {form.question.yes}   {keys['question.leave']} leave it"
        taken.put(room - 1, 0, fit(ways, width), Ink.KEY | BOLD)
    return taken


def _drawn(form: Form, width: int, room: int, keys: Mapping[str, str], spared: Sequence[str]) -> tuple[Cells, int]:
    """The form without what is spared, as far as there is room, and the rows that it would take."""
    question = form.question
    words, wrong = command(form)
    gap = int("gaps" not in spared)
    title = int("title" not in spared)
    facts = [] if "facts" in spared else list(question.shows(form.values))
    labels = [*(field.label for field in question.fields), *(label for label, _ in facts)]
    left = max([width_of(label) for label in labels], default=0) + 2 if width >= BARE else 0
    said = [line for text in question.says(form.values) for line in (*wrap(text, width, 6), *[""] * gap)]
    shown = [line for label, text in facts for line in _fact(label, text, width - left)]
    lists = [field for field in question.fields if isinstance(field, Choice) and not field.inline]
    fixed = title * (1 + gap) + len(question.fields) - len(lists) + gap * bool(question.fields) + 2 + gap
    fixed += len(shown) + gap * bool(shown)
    least = LEAST_LIST
    if "says" in spared:
        left_over = max(0, room - fixed - sum(min(LEAST_LIST, len(field.options)) for field in lists))
        cut = len(said) > left_over > 0
        said = [*said[: left_over - 1], fit(f"{said[left_over - 1]} …", width)] if cut else said[:left_over]
        least = 1
    each = max(least, (room - fixed - len(said)) // max(1, len(lists)))
    cells = Cells(width, room)
    if title:
        cells.put(0, 0, fit(question.title, width), Ink.TEXT | BOLD)
    y = title * (1 + gap)
    for i, field in enumerate(question.fields):
        focused = i == form.focus
        if left:
            cells.put(y, 0, field.label, Ink.ACCENT if focused and len(question.fields) > 1 else Ink.DIM)
        if isinstance(field, Blank):
            _blank(cells, y, left, field, form, focused)
            y += 1
        elif field.inline:
            x = left
            for option in field.options:
                x = _option(cells, y, x, option.value, option.value == form.values[field.name], focused) + 2
            y += 1
        else:
            y += _list(cells, y, left, field, form.values[field.name], focused, each)
            y += gap * (i + 1 < len(question.fields))
    y += gap * bool(question.fields)
    for label, line in shown:
        cells.put(y, 0, label if left else "", Ink.DIM)
        cells.put(y, left, line, Ink.TEXT)
        y += 1
    y += gap * bool(shown)
    for line in said:
        cells.put(y, 0, line, Ink.TEXT)
        y += 1
    if wrong:
        typed = any(form.values[field.name] != field.start for field in question.fields)
        cells.put(y, 0, fit(wrong, width), Ink.WARN if typed else Ink.DIM)
    else:
        cells.put(y, 0, fit(" ".join(words), width), Ink.FAINT)
    y += 1 + gap
    ways = [("send", question.yes), ("next", "next field"), ("leave", "leave it")]
    if len(question.fields) < 2 or _taken(ways, keys) > width:
        del ways[1]
    if _taken(ways, keys) > width:
        ways[-1] = ("leave", "")
    x = 0
    for name, what in ways:
        off = name == "send" and bool(wrong)
        x = cells.put(y, x, keys[f"question.{name}"], Ink.FAINT if off else Ink.KEY | BOLD) + 1
        x = cells.put(y, x, what, Ink.FAINT if off else Ink.DIM) + 3
    return cells, y + 1


def _taken(ways: Sequence[tuple[str, str]], keys: Mapping[str, str]) -> int:
    """Cells of the row of keys."""
    return sum(width_of(keys[f"question.{name}"]) + width_of(what) + 4 for name, what in ways) - 3


def _fact(label: str, text: str, width: int) -> list[tuple[str, str]]:
    return [(label if i == 0 else "", line) for i, line in enumerate(wrap(text, width, 2))]


def _blank(cells: Cells, y: int, x: int, field: Blank, form: Form, focused: bool) -> None:
    text = form.values[field.name]
    longest = cells.width - x
    room = max(4, min(field.room, longest))
    caret = form.caret if focused else len(text)
    start = max(0, caret - room + 1)
    cells.fill(y, x, room, " ", Ink.TEXT | UNDERLINE)
    chosen = REVERSE if focused and form.selected else 0
    cells.put(y, x, fit(text[start:], room, more=""), Ink.TEXT | UNDERLINE | chosen)
    if focused:
        under = text[caret : caret + 1] or " "
        cells.put(y, x + width_of(text[start:caret]), under, Ink.TEXT | REVERSE)
    if field.hint:
        cells.put(y, x + room + 2, fit(field.hint, cells.width - x - room - 2), Ink.FAINT)


def _option(cells: Cells, y: int, x: int, text: str, chosen: bool, focused: bool) -> int:
    ground = RAISED if chosen and focused else 0
    x = cells.put(y, x, "▸ " if chosen else "  ", Ink.ACCENT | ground)
    return cells.put(y, x, text, (Ink.TEXT | BOLD if chosen else Ink.DIM) | ground)


def _list(cells: Cells, y: int, x: int, field: Choice, chosen: str, focused: bool, room: int) -> int:
    """Rows taken."""
    names = [option.value for option in field.options]
    at = names.index(chosen) if chosen in names else 0
    room = min(room, len(names))
    top = max(0, min(at - room // 2, len(names) - room))
    # Too narrow for both, what can be chosen matters more than what is said beside it.
    narrow = cells.width < NARROW
    more = "+{}" if narrow else "{} more"
    rest = 0 if room >= len(names) else 4 if narrow else 9
    widest = cells.width + 3 - rest if narrow else cells.width // 2 + 6
    column = min(x + 4 + max([width_of(name) for name in names], default=0), widest)
    for row, option in enumerate(field.options[top : top + room], y):
        picked = option.value == chosen
        ground = RAISED if picked and focused else 0
        if ground:
            cells.fill(row, x, cells.width - x, " ", Ink.TEXT | ground)
        _option(cells, row, x, fit(option.value, column - x - 3), picked, focused)
        note = f"{option.note}  now" if option.now and option.note else "now" if option.now else option.note
        ink = Ink.UNKNOWN if option.off else Ink.TEXT if picked else Ink.DIM
        beside = cells.width - column - rest
        if beside > 0:
            cells.put(row, column, fit(note, beside), ink | ground)
    if top > 0:
        cells.put_right(y, cells.width, more.format(top), Ink.FAINT)
    if top + room < len(names):
        cells.put_right(y + room - 1, cells.width, more.format(len(names) - top - room), Ink.FAINT)
    return room
