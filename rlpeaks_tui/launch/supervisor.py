"""The supervisor: starts `accelerate launch`, keeps what it prints, and writes down how it ended.

It does nothing else, imports little, and talks to nobody, so that there is little to go wrong in the one
process whose job is to survive the others. The training process reports for itself; the supervisor reports
what the training process cannot: that it has been asked to begin, and how it died.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .. import bundle
from ..run.entries import State
from ..run.facts import Exit, RunInfo, process_alive, read_facts, read_heartbeat, write_exit
from ..run.journal import JournalWriter
from ..run.layout import Layout
from ..run.text import console_lines

TAIL_LINES = 12
LOOK_SECONDS = 0.2
"""How often to look whether a training process whose launcher was killed still lives."""


def accelerate_command(info: RunInfo, directory: Path) -> list[str]:
    """The `accelerate launch` command line of a run."""
    options = info.config.get("accelerate", {})
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    processes = int(options.get("num_processes", 1))
    if options.get("config_file"):
        command += ["--config_file", str(options["config_file"])]
    else:
        command += ["--num_processes", str(processes), "--num_machines", "1", "--dynamo_backend", "no"]
        command += ["--mixed_precision", str(options.get("mixed_precision", "no"))]
        if processes > 1:
            # Accelerate starts several processes with this flag only, also where ACCELERATE_USE_CPU keeps them off
            # GPUs.
            command += ["--multi_gpu", "--main_process_port", "0"]
        elif options.get("cpu"):
            command.append("--cpu")
    threads = options.get("threads")
    if threads:
        command += ["--num_cpu_threads_per_process", str(threads)]
    if "script" in info.config:
        program = ["rlpeaks_tui.instrument.shell", str(directory), info.config["script"], *info.config.get("args", [])]
    else:
        program = [f"trainers.{info.config.get('trainer', 'grpo')}", str(directory)]
    return [*command, "-m", *program]


def environment(info: RunInfo) -> dict[str, str]:
    """The environment of the training process: the bundled trainers importable, nothing sent to trackers unasked."""
    env = dict(os.environ)
    path = [str(bundle.root()), *filter(None, [env.get("PYTHONPATH")])]
    env["PYTHONPATH"] = os.pathsep.join(path)
    env["PYTHONUNBUFFERED"] = "1"
    env["PYTHONFAULTHANDLER"] = "1"
    env.setdefault("TOKENIZERS_PARALLELISM", "false")
    env.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if info.config.get("accelerate", {}).get("cpu"):
        env.setdefault("ACCELERATE_USE_CPU", "true")
    return env


def supervise(directory: Path) -> int:
    """Run the training of `directory` to its end; gives its exit status."""
    layout = Layout(directory)
    info = read_facts(layout)
    journal = JournalWriter(layout.journal, "launcher")
    journal.write(
        State(
            t=time.time(),
            state="starting",
            by="launcher",
            activity="starting Accelerate",
            pid=os.getpid(),
            host=socket.gethostname(),
        )
    )
    log = os.open(layout.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    process = subprocess.Popen(
        accelerate_command(info, directory),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment(info),
        process_group=0,
    )

    asked: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        # To the whole group: Accelerate itself would die of it and leave the training process behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    code = process.wait()
    os.close(log)
    if code < 0 and not asked and _trains(layout):
        # Only Accelerate was killed. The training goes on and is steered as before, and its own last words count.
        while _trains(layout):
            time.sleep(LOOK_SECONDS)
        journal.close()
        return code
    lines = _last_lines(layout)
    killed = _signal(code, lines)
    write_exit(layout, Exit(t=time.time(), code=code, signal=killed, tail=_tail(code, lines, killed)))
    journal.close()
    return code


def _trains(layout: Layout) -> bool:
    beat = read_heartbeat(layout)
    return beat is not None and process_alive(beat.pid)


def _last_lines(layout: Layout) -> list[str]:
    try:
        with layout.console.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - (64 << 10)))
            # PyTorch puts the rank before each line of a traceback when there are several processes.
            lines = [re.sub(r"^\[rank\d+\]: ?", "", line) for line in console_lines(file.read())]
            return [line for line in lines if line.strip()]
    except OSError:
        return []


def _signal(code: int, lines: list[str]) -> str:
    """The signal that ended the training process.

    `accelerate launch` stands between: it ends with status 1 whatever killed its child, and says what it was in its own
    words, which differ between one process and several.
    """
    if code < 0:
        names = {int(known): known.name for known in signal.Signals}
        return names.get(-code, f"signal {-code}")
    if code == 0:
        return ""
    for line in reversed(lines[-200:]):
        died = re.search(r"died with <Signals\.(SIG[A-Z0-9]+)|Signal \d+ \((SIG[A-Z0-9]+)\)", line)
        if died:
            return died.group(1) or died.group(2)
    return ""


def _tail(code: int, lines: list[str], killed: str) -> list[str]:
    """The end of the training process's own traceback, or of the console when there is none."""
    if code == 0:
        return []
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    # The last traceback is Accelerate's, about its child; the one before it is the child's own.
    upto = len(lines)
    for start in reversed(starts):
        part = lines[start:]
        end = next((i for i, line in enumerate(part[1:], 1) if not line.startswith(" ")), len(part) - 1)
        found = part[: end + 1]
        if not any("accelerate/commands/launch.py" in line or "torch/distributed/" in line for line in found):
            return found[-TAIL_LINES:]
        upto = start
    # Of a process that was killed Accelerate's says no more than the signal does.
    return (lines[:upto] if killed else lines)[-TAIL_LINES:]


def main() -> int:
    return supervise(Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
