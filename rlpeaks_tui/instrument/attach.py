"""Watching a trainer that somebody else wrote: `rlpeaks_tui.watch(trainer)`, or a script under `rlpeaks
run`.

A script needs one line, or none when `rlpeaks run` starts it: then the line is said for it, at the moment
when its trainer begins to train. A script started by other means makes its own run directory, which
`rlpeaks watch` finds.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from .. import __version__
from ..config import Checkpoints, Probes
from ..run.facts import RunInfo, read_facts, write_facts
from ..run.layout import SCHEMA, Layout
from ..run.registry import free_name, runs_folder
from .recorder import Recorder
from .watcher import Watcher

DIRECTORY = "RLPEAKS_RUN_DIRECTORY"
"""Names the run directory to a process that `rlpeaks run` started."""

_recorder: Recorder | None = None


def recorder_of_process(directory: Path) -> Recorder:
    """The one recorder of this process, for the run at `directory`; it reports how the process ends.

    Ranks other than the first get one that writes nothing.
    """
    global _recorder
    if _recorder is None:
        _recorder = Recorder(directory if _rank() == 0 else None)
        _report_end(_recorder)
    return _recorder


def attach(trainer: Any, *, name: str | None, runs: str | None, budget: float) -> Watcher:
    """Watch `trainer` into a run directory; a second call gives the first one's watcher.

    Raises:
        TypeError: the trainer is none that generates completions, so there is nothing to watch.
        OSError: the run directory cannot be made.
    """
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, Watcher):
            return callback
    if not hasattr(trainer, "_generate_and_score_completions"):
        raise TypeError(
            f"{type(trainer).__name__} does not generate completions; rlpeaks watches GRPOTrainer and RLOOTrainer"
        )
    given = os.environ.get(DIRECTORY)
    directory = Path(given) if given else _create(trainer, name, runs)
    settings, checkpoints = Probes(budget=budget), Checkpoints()
    if given:
        config = read_facts(Layout(directory)).config
        settings = msgspec.convert(config.get("probes", {}), Probes)
        checkpoints = msgspec.convert(config.get("checkpoints", {}), Checkpoints)
    seed = int(trainer.args.seed)
    watcher = Watcher(trainer, recorder_of_process(directory), settings, seed=seed, checkpoints=checkpoints)
    trainer.add_callback(watcher)
    return watcher


def _create(trainer: Any, name: str | None, runs: str | None) -> Path:
    folder = runs_folder(runs)
    stem = name or Path(trainer.args.output_dir).name or "run"
    if _rank() != 0:
        return folder / stem
    directory = folder / free_name(folder, stem)
    Layout(directory).create()
    info = RunInfo(
        schema=SCHEMA,
        name=directory.name,
        created=time.time(),
        host=socket.gethostname(),
        argv=sys.argv,
        config={"grpo": _plain(trainer.args)},
        config_source=str(Path(sys.argv[0]).resolve()) if sys.argv and sys.argv[0] else "",
        algorithm=type(trainer).__name__.removesuffix("Trainer"),
        seed=int(trainer.args.seed),
        pid=os.getpid(),
        versions={"rlpeaks": __version__, "python": sys.version.split()[0]},
    )
    write_facts(Layout(directory), info)
    return directory


def _plain(arguments: Any) -> dict[str, Any]:
    """A trainer's settings as far as JSON can say them, without anything that looks like a secret."""
    plain = {}
    for key, value in arguments.to_dict().items():
        if isinstance(value, str | int | float | bool | None) and "token" not in key.replace("tokens", ""):
            plain[key] = value
    return plain


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _report_end(recorder: Recorder) -> None:
    """Say in the journal when an exception ends the process, and close the files whatever ends it."""
    before = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        recorder.state("failed", why=f"{kind.__name__}: {error}")
        before(kind, error, trace)

    sys.excepthook = tell
    atexit.register(recorder.close)
