"""What a command asks for, as typed structures: made from the words of a command, checked once.

The same reading serves whoever sends a command (the command line, the cockpit, a file of commands) and the
training process that obeys it, so nothing can be sent that would be misread. Whether a request can be met
is another question, which only the training process can answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from fnmatch import translate

from msgspec import Struct

BASE = "base"
"""Names the starting weights where a checkpoint could stand."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LONGEST_NOTE = 2000
LONGEST_PATTERN = 200
"""Characters; what a pattern costs to read grows with the square of its length."""
MOST_STEPS = 1_000_000


class BadCommand(Exception):
    """A command that cannot be sent; the message says what would be right."""


class Pause(Struct, frozen=True):
    """Hold at the next safe point."""


class Resume(Struct, frozen=True):
    """Go on."""


class Step(Struct, frozen=True):
    """Go on for some steps and hold again."""

    steps: int


class Stop(Struct, frozen=True):
    """Save a checkpoint and end cleanly."""


class Save(Struct, frozen=True):
    """Save a checkpoint; an empty name lets the training process choose one."""

    name: str


class Reset(Struct, frozen=True):
    """Put policy weights back.

    Attributes:
        to: "base", or a checkpoint's name.
        keep_optimizer: leave the optimizer's state as it is; else it begins afresh.
        blend: how much of the old weights to take, in (0, 1]; 1 puts them back wholly.
        layers: a shell pattern of parameter names, "*" for all.
    """

    to: str
    keep_optimizer: bool
    blend: float
    layers: str


class SyncReference(Struct, frozen=True):
    """The reference becomes the current policy, the optimizer begins afresh (2505.24864)."""


class RollBack(Struct, frozen=True):
    """Everything back to a checkpoint, as a branch of the run."""

    checkpoint: str


class SwitchPhase(Struct, frozen=True):
    """Switch the curriculum from the next generation on: a phase's name, "next", "prev", or "auto"."""

    to: str


class Set(Struct, frozen=True):
    """Change a setting; `sure` says that a value far from the present one is meant."""

    key: str
    value: float
    sure: bool


class Evaluate(Struct, frozen=True):
    """Measure on held-out prompts now."""


class Measure(Struct, frozen=True):
    """Run a probe now."""

    probe: str


class Note(Struct, frozen=True):
    """A mark on the timeline."""

    text: str


class Undo(Struct, frozen=True):
    """Back to just before the last command that changed weights or settings."""


Request = (
    Pause | Resume | Step | Stop | Save | Reset | SyncReference | RollBack | SwitchPhase | Set | Evaluate | Measure
    | Note | Undo
)  # fmt: skip


class Verb(Struct, frozen=True):
    """One command.

    Attributes:
        name: as it is typed.
        usage: its arguments.
        does: what it does, in a few words.
        read: its request from the words after its name; raises BadCommand.
    """

    name: str
    usage: str
    does: str
    read: Callable[[list[str]], Request]


def request(verb: str, args: Sequence[str]) -> Request:
    """The request that a command makes.

    Raises:
        BadCommand: there is no such command, or its arguments are wrong.
    """
    if verb not in VERBS:
        raise BadCommand(f"there is no command {verb!r}; there are: {', '.join(VERBS)}")
    return VERBS[verb].read(list(args))


def _plain(verb: str, made: Request) -> Callable[[list[str]], Request]:
    def read(args: list[str]) -> Request:
        if args:
            raise BadCommand(f"{verb} takes no argument")
        return made

    return read


def _step(args: list[str]) -> Request:
    if len(args) > 1 or (args and not (re.fullmatch("[0-9]{1,7}", args[0]) and 0 < int(args[0]) <= MOST_STEPS)):
        raise BadCommand(f"step takes a number of steps from 1 to {MOST_STEPS}, or nothing for one step")
    return Step(int(args[0]) if args else 1)


def _save(args: list[str]) -> Request:
    if len(args) > 1:
        raise BadCommand("checkpoint takes one name, or nothing")
    return Save(_name("checkpoint", args[0]) if args else "")


def _reset(args: list[str]) -> Request:
    options = _options("reset", args, values=("--to", "--blend", "--layers"), flags=("--keep-optimizer",))
    if "--to" not in options:
        raise BadCommand("reset needs --to base or --to CHECKPOINT")
    blend = _number("reset --blend", options.get("--blend", "1"))
    if not 0 < blend <= 1:
        raise BadCommand("reset --blend takes a share above 0 and up to 1: how much of the old weights to take")
    layers = options.get("--layers", "*")
    if len(layers) > LONGEST_PATTERN:
        raise BadCommand(f"reset --layers: a pattern has at most {LONGEST_PATTERN} characters")
    try:
        re.compile(translate(layers))
    except re.error:
        raise BadCommand(f"reset --layers: {layers!r} is no pattern; '*layers.0.*' is one") from None
    return Reset(_name("reset --to", options["--to"]), "--keep-optimizer" in options, blend, layers)


def _roll_back(args: list[str]) -> Request:
    if len(args) != 1:
        raise BadCommand("rollback needs the name of one checkpoint")
    return RollBack(_name("rollback", args[0]))


def _phase(args: list[str]) -> Request:
    to = " ".join(args).strip()
    if not to or not to.isprintable() or len(to) > 200:
        raise BadCommand("phase needs the name of a phase, or next, prev or auto")
    return SwitchPhase(to)


def _set(args: list[str]) -> Request:
    if meant := re.fullmatch(r"([\w./-]+)\s*[:\s]\s*([-+.\deE]+)", " ".join(word for word in args if word != "--yes")):
        raise BadCommand(f"set needs KEY=VALUE: write it as set {meant[1]}={meant[2]}")
    options = _options("set", args, flags=("--yes",), rest=1)
    key, equals, text = options.get("", "").partition("=")
    if not equals or not key.strip():
        raise BadCommand("set needs KEY=VALUE, for example learning_rate=1e-4")
    return Set(key.strip(), _number(f"set {key.strip()}", text), "--yes" in options)


def _measure(args: list[str]) -> Request:
    if len(args) != 1:
        raise BadCommand("probe needs the name of one probe")
    return Measure(_name("probe", args[0]))


def _note(args: list[str]) -> Request:
    text = " ".join(args).strip()
    if not text or len(text) > LONGEST_NOTE:
        raise BadCommand(f"note needs a text of at most {LONGEST_NOTE:,} characters")
    return Note(text)


def _options(
    verb: str, args: list[str], values: Sequence[str] = (), flags: Sequence[str] = (), rest: int = 0
) -> dict[str, str]:
    """Options by name; flags have an empty value, and up to `rest` plain words are joined under an empty name."""
    found: dict[str, str] = {}
    plain: list[str] = []
    words = iter(args)
    for word in words:
        name, equals, value = word.partition("=")
        if word in flags:
            found[word] = ""
        elif name in values:
            found[name] = value if equals else next(words, "")
        elif word.startswith("--"):
            known = ", ".join([*values, *flags])
            raise BadCommand(f"{verb} has no option {name}; it has {known}")
        else:
            plain.append(word)
    if len(plain) > rest:
        raise BadCommand(f"{verb}: {plain[rest]!r} is one word too many; see its usage: {VERBS[verb].usage}")
    return found | ({"": plain[0]} if plain else {})


def _name(what: str, text: str) -> str:
    if not NAME.fullmatch(text):
        raise BadCommand(f"{what}: a name has up to 64 letters, digits, '.', '_' and '-'; got {text[:80]!r}")
    return text


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadCommand(f"{what} needs a number, got {text[:40]!r}") from None
    if not math.isfinite(value):
        raise BadCommand(f"{what} needs a finite number")
    return value


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("pause", "", "hold the training at its next safe point", _plain("pause", Pause())),
        Verb("resume", "", "go on", _plain("resume", Resume())),
        Verb("step", "[N]", "go on for N steps and hold again", _step),
        Verb("stop", "", "save a checkpoint and end cleanly", _plain("stop", Stop())),
        Verb("checkpoint", "[NAME]", "save model, optimizer, scheduler, curriculum and random state", _save),
        Verb(
            "reset",
            "--to base|CHECKPOINT [--keep-optimizer] [--blend A] [--layers PATTERN]",
            "put policy weights back, wholly, in part, or blended",
            _reset,
        ),
        Verb(
            "sync-ref",
            "",
            "make the current policy the reference and begin the optimizer afresh",
            _plain("sync-ref", SyncReference()),
        ),
        Verb("rollback", "CHECKPOINT", "everything back to a checkpoint, as a branch of the run", _roll_back),
        Verb("phase", "NAME|next|prev|auto", "switch the curriculum from the next generation on", _phase),
        Verb("set", "KEY=VALUE [--yes]", "change a setting of the training", _set),
        Verb("eval", "", "measure on held-out prompts now", _plain("eval", Evaluate())),
        Verb("probe", "NAME", "run a probe now", _measure),
        Verb("note", "TEXT", "put a mark on the timeline", _note),
        Verb("undo", "", "back to just before the last command that changed weights or settings",
             _plain("undo", Undo())),
    )
}  # fmt: skip
"""Every command, in the order in which help lists them."""
