"""`rlpeaks run --commands`: the commands of an earlier run, to be applied again at the same steps.

Taken are the commands that were applied and that the course of a training depends on: those that change weights or
settings, and `checkpoint`, since a later rollback or reset may name it. Pausing, stepping, stopping, measuring and
notes change nothing that a repetition would have to repeat.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from ..run.bounds import check
from ..run.entries import Command, Step, clean_decode
from ..run.facts import PlannedCommand
from ..run.journal import LONGEST_LINE, JournalReader
from ..run.layout import Layout, open_regular
from ..run.registry import resolve
from ..run.requests import BadCommand, request
from ..stats.steered import CHANGING, RETURNING

REPEATED = CHANGING | {"checkpoint"}


class _Line(Struct, frozen=True, kw_only=True):
    """A line of a journal as far as it matters here; one written by hand needs no more than step, verb and args."""

    k: str = "command"
    status: str = "applied"
    step: Step | None = None
    verb: str = ""
    args: list[str] = []


EXAMPLE = '{"step": 120, "verb": "set", "args": ["beta=0.05"]}'
"""A line of a list by hand."""


class Recorded(Struct, frozen=True):
    """The commands to repeat, in their order, and those that are passed over, by verb and how often."""

    planned: list[PlannedCommand]
    skipped: Mapping[str, int]

    def __str__(self) -> str:
        some = ", ".join(f"{verb} {count}" if count > 1 else verb for verb, count in self.skipped.items())
        left = f"; {sum(self.skipped.values())} skipped, which change nothing in the training: {some}" if some else ""
        many = "" if len(self.planned) == 1 else "s"
        return f"{len(self.planned)} command{many} will be applied at the recorded steps{left}"


def recorded(named: str, folder: Path) -> Recorded:
    """What is to be repeated.

    Args:
        named: a journal file, a file with one JSON object a line, or a run's name or directory.
        folder: of runs.

    Raises:
        BadCommand: it cannot be read, holds none, or holds one that could not be applied; says where.
        NotARun: it is no file and no run.
    """
    if os.path.isdir(named) or not os.path.lexists(named):
        found = list(_of_run(resolve(named, folder)))
    else:
        found = list(_of_file(Path(named)))
    planned: list[PlannedCommand] = []
    skipped: Counter[str] = Counter()
    for where, line in found:
        command = _planned(where, line)
        if command.verb not in REPEATED:
            skipped[command.verb] += 1
            continue
        if planned and command.step < planned[-1].step and not RETURNING & {command.verb, planned[-1].verb}:
            raise BadCommand(
                f"{where}: step {command.step} follows step {planned[-1].step}, though the run did not go back between"
            )
        planned.append(command)
    if not planned:
        raise BadCommand(f"{named} holds no command that was applied and changed the training")
    return Recorded(planned, skipped)


def _of_run(directory: Path) -> Iterator[tuple[str, _Line]]:
    reader = JournalReader(Layout(directory).journal)
    while True:
        for entry in reader.read(seconds=1.0):
            if isinstance(entry, Command) and entry.status == "applied":
                where = f"{directory.name}, command {entry.id}"
                yield where, _Line(step=entry.step, verb=entry.verb, args=entry.args)
        if not reader.more:
            return


def _of_file(path: Path) -> Iterator[tuple[str, _Line]]:
    try:
        with open_regular(path) as file:
            yield from _lines(path, iter(lambda: file.readline(LONGEST_LINE), b""))
    except OSError as error:
        raise BadCommand(f"{path} cannot be read: {error.strerror}") from None


def _lines(path: Path, raw: Iterable[bytes]) -> Iterator[tuple[str, _Line]]:
    for number, text in enumerate(raw, 1):
        where = f"{path}, line {number}"
        # The end of a journal whose writer was killed, and what it closes a torn line with.
        if not text.strip() or text.endswith(b"~\n"):
            continue
        try:
            line: _Line = clean_decode(text, _Line)
        except (ValueError, RecursionError) as error:
            if not text.endswith((b"\n", b"}")):
                continue
            raise BadCommand(f"{where} is no entry of a journal: {error}; write lines such as {EXAMPLE}") from None
        if line.k == "command" and line.status == "applied":
            yield where, line


def _planned(where: str, line: _Line) -> PlannedCommand:
    if line.step is None or line.step < 0:
        why = "has no step at which it could be applied; write lines such as"
        raise BadCommand(f"{where}: {line.verb} {why} {EXAMPLE}")
    try:
        check(request(line.verb, line.args))
    except BadCommand as problem:
        raise BadCommand(f"{where}: {problem}") from None
    return PlannedCommand(step=line.step, verb=line.verb, args=line.args)
