"""Which runs there are, and what a person means by the name of one."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from msgspec import Struct

from .facts import NotARun, RunInfo, shown_facts
from .layout import Layout

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Found(Struct, frozen=True):
    """A run in a folder, or what looks like one and cannot be opened (`trouble` says why)."""

    path: Path
    info: RunInfo | None
    trouble: str = ""


def runs_folder(chosen: str | None = None) -> Path:
    """The folder of runs: as chosen, else $RLPEAKS_RUNS, else ./runs."""
    return Path(chosen or os.environ.get("RLPEAKS_RUNS") or "runs")


def runs(folder: Path) -> list[Found]:
    """All runs of a folder, newest first."""
    found: list[Found] = []
    try:
        # os.path rather than Path: another user's private run in a shared folder is no error, just not ours.
        paths = [path for path in folder.iterdir() if os.path.isfile(Layout(path).facts)]
    except OSError:
        return []
    for path in paths:
        try:
            found.append(Found(path, shown_facts(Layout(path))))
        except NotARun as error:
            found.append(Found(path, None, str(error)))
    return sorted(found, key=lambda f: (f.info.created if f.info else 0.0, f.path.name), reverse=True)


def resolve(named: str | None, folder: Path) -> Path:
    """The directory of the run that `named` means: a directory, a name, or an unambiguous prefix; the newest if None.

    Raises:
        NotARun: nothing fits, or more than one does; the message says what would be right.
    """
    if named is None:
        known = [found for found in runs(folder) if found.info]
        if not known:
            raise NotARun(f"there are no runs in {folder}: start one with `rlpeaks run quickstart`")
        return known[0].path
    as_path = Path(named)
    if os.path.isdir(folder / named):
        shown_facts(Layout(folder / named))
        return folder / named
    if "/" in named or os.path.isfile(Layout(as_path).facts):
        shown_facts(Layout(as_path))
        return as_path
    fitting = [found.path for found in runs(folder) if found.path.name.startswith(named)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        some = ", ".join(sorted(path.name for path in fitting)[:6])
        raise NotARun(f"{named!r} could mean {len(fitting)} runs in {folder}: {some}")
    names = [found.path.name for found in runs(folder)]
    there = f"there are: {', '.join(names[:6])}" if names else "there are none yet"
    raise NotARun(f"there is no run {named!r} in {folder}; {there}")


def as_argument(directory: Path) -> str:
    """How a command names a run so that it finds it, as a shell takes it: by its name where that does from here."""
    if directory.parent.resolve() == runs_folder().resolve():
        return shlex.quote(directory.name)
    return shlex.quote(str(directory.resolve()))


def free_name(folder: Path, stem: str) -> str:
    """`stem`, or `stem-2`, `stem-3`, ... : the first that is not taken in `folder`."""
    name, number = stem, 1
    while os.path.lexists(folder / name):
        number += 1
        name = f"{stem}-{number}"
    return name
