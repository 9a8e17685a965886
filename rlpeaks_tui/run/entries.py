"""What a journal line can say.

Lines are JSON objects with their kind in `k`. A reader passes over kinds and keys that it does not know, so
a newer writer never breaks an older reader. Numbers that are not finite travel as null, with the reason in
`why`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from .text import clean_tree, is_plain

RunState = Literal["starting", "running", "paused", "finished", "stopped", "failed", "lost"]
"""`lost` is never written: a reader concludes it when a run falls silent without an end."""

ENDED: frozenset[str] = frozenset({"finished", "stopped", "failed"})

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that fits a column; JSON itself knows no bound."""

Step = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""A step that a float64 holds exactly, so that whatever draws or fits over steps can reckon with it."""

BIGGEST = 1e50
"""No measure is as large, and no float32; what claims to be is cut to it, so that squares of products stay finite."""

Value = float | Whole | str | bool | None


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="k", omit_defaults=True):
    """Any line: `t` is the writer's time in seconds since 1970."""

    t: float


class State(Entry, tag="state", frozen=True, kw_only=True, omit_defaults=True):
    """What the run as a whole does from now on; `activity` says what exactly while nothing moves yet."""

    state: RunState
    by: Literal["trainer", "launcher"] = "trainer"
    activity: str = ""
    step: Step | None = None
    why: str = ""
    pid: Whole | None = None
    host: str = ""
    refused: bool = False
    """The settings could not be used: nothing was trained, and `why` says what would be right."""


class Metrics(Entry, tag="metrics", frozen=True, kw_only=True, omit_defaults=True):
    """Values of one training step, by metric name; `why` gives the reason for each null or absent one."""

    step: Step
    v: dict[str, float | None]
    why: dict[str, str] = {}
    phase: str = ""


class Probe(Entry, tag="probe", frozen=True, kw_only=True, omit_defaults=True):
    """A costlier measurement: its values, its sample size, its cost, and what makes the values honest."""

    name: str
    step: Step
    v: dict[str, float | None]
    why: dict[str, str] = {}
    n: Whole = 0
    seconds: float = 0.0
    facts: dict[str, Value] = {}
    arrays: dict[str, list[float | None]] = {}


class Phase(Entry, tag="phase", frozen=True, kw_only=True, omit_defaults=True):
    """The curriculum enters a phase at `step`."""

    step: Step
    name: str
    index: Whole
    of: Whole
    why: str = ""


class Command(Entry, tag="command", frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a command: what it did, who sent it when, and the values before and after."""

    id: str
    verb: str
    status: Literal["applied", "refused", "failed"]
    step: Step
    args: list[str] = []
    who: str = ""
    sent: float = 0.0
    why: str = ""
    before: dict[str, Value] = {}
    after: dict[str, Value] = {}


class Settings(Entry, tag="settings", frozen=True, kw_only=True, omit_defaults=True):
    """Settings in force from `step` on, and which commands cannot work in this run, each with the reason."""

    step: Step
    v: dict[str, Value]
    cannot: dict[str, str] = {}


class Branch(Entry, tag="branch", frozen=True, kw_only=True, omit_defaults=True):
    """The run went back: from now on its steps follow `at` on the branch `name`, which leaves `parent`."""

    name: str
    parent: str
    step: Step
    """Where the run was when it went back."""
    at: Step
    """The step of the checkpoint it went back to."""
    checkpoint: str


class Note(Entry, tag="note", frozen=True, kw_only=True, omit_defaults=True):
    """What somebody wrote onto the timeline."""

    step: Step
    text: str
    who: str = ""


class Alert(Entry, tag="alert", frozen=True, kw_only=True, omit_defaults=True):
    """A health rule fires (`on`) or clears."""

    rule: str
    on: bool
    step: Step
    severity: Literal["warn", "critical"] = "warn"
    text: str = ""
    remedy: str = ""


class Checkpoint(Entry, tag="checkpoint", frozen=True, kw_only=True, omit_defaults=True):
    """A checkpoint is whole on disk."""

    step: Step
    name: str
    bytes: Whole = 0


class Error(Entry, tag="error", frozen=True, kw_only=True, omit_defaults=True):
    """A part of the instruments failed; training went on."""

    where: str
    text: str
    step: Step | None = None


class Lost(Entry, tag="lost", frozen=True, kw_only=True, omit_defaults=True):
    """`count` entries in all could not be written before this line."""

    count: Whole


Line = State | Metrics | Probe | Phase | Command | Settings | Branch | Note | Alert | Checkpoint | Error | Lost

decoder = msgspec.json.Decoder(Line)
encoder = msgspec.json.Encoder()


def clean_decode(raw: bytes, kind: Any) -> Any:
    """`raw` as the structure `kind`, every text in it made safe for a terminal: the door for JSON of a run.

    Raises:
        ValueError, RecursionError: it is no such thing (msgspec's errors and bad UTF-8 are ValueErrors).
    """
    if is_plain(raw):
        return msgspec.json.decode(raw, type=kind)
    return msgspec.convert(clean_tree(msgspec.json.decode(raw)), kind)


def finite(
    values: Mapping[str, float | None], why: Mapping[str, str]
) -> tuple[dict[str, float | None], dict[str, str]]:
    """`values` with every non-finite number as None, and `why` with a reason for each None."""
    clean: dict[str, float | None] = {}
    reasons = dict(why)
    for name, value in values.items():
        if value is not None and math.isfinite(value):
            clean[name] = float(value)
        else:
            clean[name] = None
            reasons.setdefault(name, "no value" if value is None else f"the value was {value}")
    return clean, reasons
