"""Everything a person can do, each thing once: its keys, its words, what it does, and when it cannot be done.

The key bindings, the footer, the palette and the help are made from this table, so they cannot disagree. What only one
screen does stands in it too, and is done there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.binding import Binding
from textual.keys import _character_to_key

from . import acts, appearance, keyed, travel, walk, whereabouts
from .keyed import WITHIN, Keyed
from .panels import PANELS
from .strips import Hint

if TYPE_CHECKING:
    from .app import Cockpit

Action = Callable[["Cockpit"], None]
Refusal = Callable[["Cockpit"], str]


def _never(app: Cockpit) -> str:
    return ""


class Command(Keyed, frozen=True):
    """One thing to do, wherever a person is.

    Attributes:
        act: does it.
        hint: one or two words in the footer; empty when it is not shown there.
        refuse: why it cannot be done now; empty when it can.
        listed: has a row in the help; one of a family that another row speaks for has none.
    """

    act: Action
    hint: str = ""
    refuse: Refusal = _never
    listed: bool = True


def _cannot(verb: str) -> Refusal:
    return lambda app: acts.refusal(app, verb)


def _asking(verb: str, key: str, title: str, hint: str = "") -> Command:
    """A command that asks its question first; without a key, one of the palette only."""
    keys = (key,) if key else ()
    return Command(verb, keys, key, title, STEER, lambda app: acts.ask(app, verb), hint, _cannot(verb))


def _select(panel: str) -> Action:
    return lambda app: walk.select(app, panel)


def _jump(forward: bool, kind: str) -> Action:
    return lambda app: travel.jump(app, forward, kind)


VIEW, TIME, STEER, LEAVE = "Panels", "Time", "Training", "Cockpit"

COMMANDS: tuple[Command, ...] = (
    Command("help", ("question_mark", "f1"), "?", "Show every key", LEAVE, lambda app: app.open_help(), "help"),
    Command(
        "palette",
        ("colon", "ctrl+p"),
        ":",
        "Find a command by name",
        LEAVE,
        lambda app: app.action_command_palette(),
        "commands",
    ),
    Command("filter", ("slash",), "/", "Filter the list on screen", VIEW, walk.search, "filter"),
    Command("enlarge", ("z",), "z", "Enlarge the panel in focus, and back", VIEW, walk.toggle, "enlarge"),
    Command("open", ("enter",), "enter", "Enlarge; in a list: open what is picked", VIEW, walk.enter),
    Command("story", ("v",), "v", "Next view of an enlarged panel", VIEW, lambda app: walk.tell(app, 1)),
    Command("story.back", ("V",), "V", "View before of an enlarged panel", VIEW, lambda app: walk.tell(app, -1)),
    Command("log", ("y",), "y", "Logarithmic or linear y axis, in all charts", VIEW, appearance.switch_axis),
    Command("back", ("escape",), "esc", "Step out: filter, enlarged panel, cursor", VIEW, walk.back),
    *(
        Command(f"panel.{panel.id}", (panel.key,), panel.key, f"{panel.title}: {panel.asks}", VIEW, _select(panel.id))
        for panel in PANELS
    ),
    Command(
        "left",
        ("left", "h"),
        "← h",
        "Panel to the left; enlarged: one step back",
        VIEW,
        lambda app: walk.move(app, -1, 0),
    ),
    Command(
        "right",
        ("right", "l"),
        "→ l",
        "Panel to the right; enlarged: one step on",
        VIEW,
        lambda app: walk.move(app, 1, 0),
    ),
    Command("up", ("up", "k"), "↑ k", "Panel above; enlarged: scroll up", VIEW, lambda app: walk.move(app, 0, -1)),
    Command("down", ("down", "j"), "↓ j", "Panel below; enlarged: scroll down", VIEW, lambda app: walk.move(app, 0, 1)),
    Command("page.up", ("pageup",), "pgup", "Enlarged: scroll up by a screen", VIEW, lambda app: walk.page(app, -1)),
    Command(
        "page.down", ("pagedown",), "pgdn", "Enlarged: scroll down by a screen", VIEW, lambda app: walk.page(app, 1)
    ),
    Command(
        "back.1",
        ("left_square_bracket",),
        "[",
        "Cursor back by 1 % of the run",
        TIME,
        lambda app: travel.scrub(app, -0.01),
        "scrub",
    ),
    Command(
        "on.1", ("right_square_bracket",), "]", "Cursor on by 1 % of the run", TIME, lambda app: travel.scrub(app, 0.01)
    ),
    Command(
        "back.10",
        ("left_curly_bracket",),
        "{",
        "Cursor back by 10 % of the run",
        TIME,
        lambda app: travel.scrub(app, -0.1),
    ),
    Command(
        "on.10", ("right_curly_bracket",), "}", "Cursor on by 10 % of the run", TIME, lambda app: travel.scrub(app, 0.1)
    ),
    Command(
        "next",
        ("n",),
        "n",
        "To the next event; by kind: in the palette",
        TIME,
        lambda app: travel.jump(app, True),
        "event",
    ),
    Command("prev", ("N",), "N", "To the event before", TIME, lambda app: travel.jump(app, False)),
    *(
        Command(f"{way}.{kind}", (), "", f"To the {said} {kind}", TIME, _jump(way == "next", kind), listed=False)
        for kind in travel.KINDS
        for way, said in (("next", "next"), ("prev", "last"))
    ),
    Command("live", ("g", "end"), "g", "Back to the newest step", TIME, lambda app: app.snap_to_live(), "live"),
    Command(
        "hold",
        ("space",),
        "space",
        "Hold the view still while the run goes on",
        TIME,
        lambda app: app.hold(),
        "hold view",
    ),
    Command(
        "pause",
        ("p",),
        "p",
        "Pause training at a safe point, or resume it",
        STEER,
        acts.pause,
        "pause",
        _cannot("pause"),
    ),
    _asking("reset", "r", "Reset the policy's weights", "reset"),
    _asking("rollback", "b", "Roll back to a checkpoint", "roll back"),
    _asking("phase", "c", "Switch the curriculum", "curriculum"),
    _asking("set", "e", "Change a setting of the training", "set"),
    _asking("undo", "u", "Undo the last change of weights or settings", "undo"),
    _asking("checkpoint", "w", "Write a checkpoint"),
    _asking("note", "m", "Put a note on the timeline"),
    Command(
        "remedy",
        ("a",),
        "a",
        "Act on the verdict: open what it advises",
        STEER,
        acts.follow_advice,
        "act",
        acts.no_advice,
    ),
    Command(
        "stack",
        ("T",),
        "T",
        "Show where a rank is: its Python stack",
        STEER,
        whereabouts.show,
        refuse=whereabouts.refusal,
    ),
    Command("effect", ("d",), "d", "Did it help: before and after a command", STEER, acts.show_effect),
    _asking("step", "", "Train for some steps and hold again"),
    _asking("sync-ref", "", "Make the current policy the reference"),
    _asking("eval", "", "Measure on held-out prompts now"),
    _asking("probe", "", "Run a probe now"),
    Command(
        "stop",
        ("s",),
        "s",
        "Stop training: checkpoint, then end cleanly",
        STEER,
        acts.stop,
        "stop",
        _cannot("stop"),
    ),
    Command("runs", ("R",), "R", "All runs: live and over", LEAVE, walk.choose_run, "runs"),
    Command("theme", (), "", "Switch between dark and light", LEAVE, appearance.switch_theme),
    Command("screenshot", ("S",), "S", "Save the screen as an SVG file", LEAVE, appearance.save_picture),
    Command(
        "quit",
        ("q", "ctrl+c", "ctrl+q"),
        "q",
        "Leave the viewer; the training goes on",
        LEAVE,
        lambda app: app.exit(0),
        "leave",
    ),
)

TABLE: tuple[Keyed, ...] = (*COMMANDS, *WITHIN)
"""Everything that keys can be bound to."""

BY_ID = {each.id: each for each in TABLE}


def bindings() -> list[Binding]:
    """A binding for every key of the table; its id is the command's, so that a keymap can change it."""
    return [
        Binding(",".join(command.keys), f"command({command.id!r})", command.title, show=False, id=command.id)
        for command in COMMANDS
        if command.keys
    ]


def in_force(keys: Mapping[str, str]) -> tuple[Keyed, ...]:
    """The table where some have other keys, by id: as a person writes them, separated by commas."""

    def changed(each: Keyed) -> Keyed:
        words = words_of(keys[each.id])
        return replace(each, keys=tuple(name_of(word) for word in words), shown=" ".join(words))

    return tuple(changed(each) if each.id in keys else each for each in TABLE)


def words_of(keys: str) -> list[str]:
    """The keys that a person wrote, separated by commas."""
    return [word for part in keys.split(",") if (word := part.strip())]


def name_of(word: str) -> str:
    """A key as Textual names it: left_square_bracket for `[`."""
    return _character_to_key(word) if len(word) == 1 else word


ORDER = (
    "help", "palette", "panels", "enlarge", "scrub", "next", "live", "hold", "filter",
    "pause", "remedy", "undo", "set", "phase", "reset", "rollback", "stop", "runs", "quit",
)  # fmt: skip
"""Of the footer, from left to right."""

LEAST = (
    "quit", "help", "remedy", "pause", "enlarge", "panels", "palette", "scrub", "undo", "reset", "phase", "set",
    "rollback", "stop", "runs", "live", "next", "hold", "filter",
)  # fmt: skip
"""Of the footer, what stays longest where the row is short first."""


def hints_now(app: Cockpit) -> list[Hint]:
    """What the footer names now."""
    paused = app.snapshot is not None and app.snapshot.state == "paused"
    over = app.snapshot is not None and not app.snapshot.live
    return hints(refusals(app), app.table, app.view.cursor is not None, paused, app.view.held, over)


def hints(
    refused: Mapping[str, str],
    table: Sequence[Keyed] = TABLE,
    away: bool = False,
    paused: bool = False,
    held: bool = False,
    over: bool = False,
) -> list[Hint]:
    """What the footer names, by the table in force.

    `away` from the newest step, or with the view `held`, the way back comes first. In a run that is `over` nothing
    moves: there is nothing to hold and no newer step.
    """
    shown = keyed.shown(table)
    words = {each.id: (each.shown, each.hint) for each in table if isinstance(each, Command) and each.hint}
    words["scrub"] = (f"{shown['back.1']} {shown['on.1']}", "scrub")
    words["next"] = (f"{shown['next']} {shown['prev']}", "event")
    if paused:
        words["pause"] = (shown["pause"], "resume")
    if all(shown[f"panel.{panel.id}"] == panel.key for panel in PANELS):
        words["panels"] = ("0-9", "panels")
    clicked = {"scrub": "back.1", "panels": ""}
    if over:
        del words["live"], words["hold"]
    first: tuple[str, ...] = ()
    if away:
        words["live"] = (shown["live"], "back to newest")
        first = ("live",)
    if held:
        words["hold"] = (shown["hold"], "let go")
        first = (*first, "hold")
    order, least = ((*first, *(name for name in names if name not in first)) for names in (ORDER, LEAST))
    return [
        Hint(*words[name], least.index(name), name in refused, clicked.get(name, name))
        for name in order
        if name in words
    ]


def refusals(app: Cockpit) -> dict[str, str]:
    """The commands that cannot be done now, by id, and why."""
    return {command.id: why for command in COMMANDS if (why := command.refuse(app))}
