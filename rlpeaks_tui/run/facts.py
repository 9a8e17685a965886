"""The small files of a run that say who and what: run.json, heartbeat.json and exit.json.

Each is replaced whole by one process at a time. run.json is begun by whoever starts the run and completed
by the training process once it knows its model; heartbeat.json is the training process's sign of life, and
exit.json is what the launcher saw when the process ended.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .entries import Step, Whole, clean_decode
from .layout import SCHEMA, Layout, open_regular, replace_file
from .text import clean_tree

BIGGEST_FILE = 4 << 20


class NotARun(Exception):
    """A path that holds no run that this version can open; the message is one line for a person."""


class PlannedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that the training process gives itself once `step` is done; see `RunInfo.commands`."""

    step: Step
    verb: str
    args: list[str] = []


class RunInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """run.json: what was started, and what it turned out to be."""

    schema: Whole
    name: str
    created: float
    host: str = ""
    argv: list[str] = []
    config: dict[str, Any] = {}
    config_source: str = ""
    algorithm: str = ""
    trainer: str = ""
    model: str = ""
    parameters: Whole | None = None
    dtype: str = ""
    device: str = ""
    world_size: Whole | None = None
    seed: Whole | None = None
    max_steps: Step = 0
    phases: list[str] = []
    pid: Whole | None = None
    launcher_pid: Whole | None = None
    versions: dict[str, str] = {}
    facts: dict[str, str | Whole | float | bool | None] = {}
    commands: list[PlannedCommand] = []
    """Of an earlier run, to be applied in this order, each at its step; after a rollback that is one of the branch."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Sign of life of the training process, rewritten about twice a second."""

    t: float
    beat: Whole
    pid: Whole
    host: str
    step: Step
    activity: str = ""
    since: float = 0.0


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How the training process ended, as its launcher saw it."""

    t: float
    code: Whole | None = None
    signal: str = ""
    tail: list[str] = []


T = TypeVar("T", RunInfo, Heartbeat, Exit)


def _bytes(path: Path) -> bytes | None:
    """What is in a small file; None when it is larger than any of a run. Raises OSError."""
    with open_regular(path) as file:
        raw = file.read(BIGGEST_FILE + 1)
    return raw if len(raw) <= BIGGEST_FILE else None


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        raw = _bytes(path)
        found: T | None = clean_decode(raw, kind) if raw is not None else None
    except (OSError, ValueError, RecursionError):
        return None
    return found


def write_facts(layout: Layout, info: RunInfo) -> None:
    replace_file(layout.facts, msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")


def write_heartbeat(layout: Layout, beat: Heartbeat) -> None:
    replace_file(layout.heartbeat, msgspec.json.encode(beat))


def write_exit(layout: Layout, ended: Exit) -> None:
    replace_file(layout.exit, msgspec.json.format(msgspec.json.encode(ended), indent=2) + b"\n")


def read_heartbeat(layout: Layout) -> Heartbeat | None:
    return _read(layout.heartbeat, Heartbeat)


def read_exit(layout: Layout) -> Exit | None:
    return _read(layout.exit, Exit)


def read_facts(layout: Layout) -> RunInfo:
    """run.json of a run.

    Raises:
        NotARun: there is no run here, it cannot be read, or it was written by a newer version.
    """
    path = layout.facts
    try:
        raw = _bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        if layout.root.is_dir():
            what = "has no run.json, so it is no run"
        else:
            what = "is a file, not the directory of a run" if os.path.lexists(layout.root) else "is not there"
        raise NotARun(f"{layout.root} {what}") from None
    except OSError as error:
        raise NotARun(f"{path} cannot be read: {error.strerror}") from None
    if raw is None:
        raise NotARun(f"{path} is larger than any run.json: this is no run")
    try:
        schema = msgspec.json.decode(raw, type=_Schema).schema
        if schema > SCHEMA:
            raise NotARun(
                f"{layout.root} was written by a newer rlpeaks (schema {schema}; this one reads up to {SCHEMA}): "
                "update rlpeaks to open it"
            )
        return msgspec.json.decode(raw, type=RunInfo)
    except (ValueError, RecursionError) as error:
        raise NotARun(f"{path} is damaged: {error}") from None


def shown_facts(layout: Layout) -> RunInfo:
    """`read_facts` for viewers: every text is safe for a terminal, where what starts a training needs it verbatim.

    Raises:
        NotARun: as `read_facts`.
    """
    info = read_facts(layout)
    try:
        return msgspec.convert(_bounded(clean_tree(msgspec.to_builtins(info))), RunInfo)
    except RecursionError:
        raise NotARun(f"{layout.facts} is damaged: nested too deeply") from None


def _bounded(value: Any) -> Any:
    """A JSON value with words in place of whole numbers that no float can hold, which overflow where they are used."""
    match value:
        case int() if value.bit_length() > 1000:
            return f"a whole number of {value.bit_length():,} bits"
        case list():
            return [_bounded(item) for item in value]
        case dict():
            return {key: _bounded(item) for key, item in value.items()}
    return value


class _Schema(msgspec.Struct):
    schema: Whole


def process_alive(pid: int) -> bool:
    """Whether a process of this machine is there and not a zombie."""
    # 0 and below mean groups of processes to the kernel, and the largest pid it gives is 2**22.
    if not 0 < pid <= 1 << 22:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OSError:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
