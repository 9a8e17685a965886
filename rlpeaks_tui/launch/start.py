"""From a checked run file to a running training: makes the run directory and sets the supervisor going.

The supervisor gets a session of its own and no terminal, so closing the window, losing the connection or
killing the viewer sends it no signal.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from .. import __version__
from ..config import RunFile, Script
from ..run.facts import PlannedCommand, RunInfo, write_facts
from ..run.layout import SCHEMA, Layout
from ..run.registry import free_name


class CannotStart(Exception):
    """The run could not be begun; the message is one line, and nothing is left behind."""


def create(
    run: RunFile | Script,
    source: Path,
    folder: Path,
    argv: list[str],
    name: str | None = None,
    commands: Sequence[PlannedCommand] = (),
) -> Path:
    """Make the directory of a new run in `folder` and write its run.json; gives the directory.

    `commands` are given to the training as if they were sent at their steps.

    Raises:
        CannotStart: the folder cannot be written, or the name is taken.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", source.stem).strip("._-")[:80]
    wanted = name or run.name or stem or "run"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"{folder} cannot be a folder of runs: {error.strerror}") from None
    directory = folder / (name or free_name(folder, wanted))
    try:
        Layout(directory).create()
    except FileExistsError:
        raise CannotStart(f"{directory} is there already: choose another --name") from None
    except OSError as error:
        discard(directory)
        raise CannotStart(f"cannot make a run in {folder}: {error.strerror}") from None
    settings: dict[str, Any] = msgspec.to_builtins(run)
    info = RunInfo(
        schema=SCHEMA,
        name=directory.name,
        created=time.time(),
        host=socket.gethostname(),
        argv=argv,
        config=settings,
        config_source=str(source),
        **_known(run),
        commands=list(commands),
        versions={"rlpeaks": __version__, "python": sys.version.split()[0]},
    )
    try:
        write_facts(Layout(directory), info)
    except OSError as error:
        discard(directory)
        raise CannotStart(f"cannot write {directory}: {error.strerror}") from None
    except UnicodeEncodeError:
        discard(directory)
        raise CannotStart("a setting or an argument holds bytes that are no UTF-8 text") from None
    return directory


def _known(run: RunFile | Script) -> dict[str, Any]:
    """What a run file tells about the training before it starts; a script tells nothing until its trainer is made."""
    if isinstance(run, Script):
        return {}
    return {
        "algorithm": run.trainer.upper(),
        "model": run.model,
        "seed": run.seed,
        "max_steps": int(run.grpo.get("max_steps") or 0),
        "phases": [phase.name for phase in run.phases],
    }


def start(directory: Path) -> int:
    """Set the supervisor of a created run going; gives its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rlpeaks_tui.launch.supervisor", str(directory.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=os.getcwd(),
    )
    return process.pid


def discard(directory: Path) -> None:
    """Remove a run that never became one."""
    import shutil

    shutil.rmtree(directory, ignore_errors=True)
