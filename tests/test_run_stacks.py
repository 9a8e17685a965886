"""Asking a process for its stack: the right one answers, and no other is ever touched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rlpeaks_tui.cli import main
from rlpeaks_tui.run import stacks
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.signs import STACK_SIGNAL, RankSign, process_born, read_sign, write_sign
from rlpeaks_tui.run.stacks import NoStack, ask
from tests.run_fakes import new_run

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def without_py_spy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed on the machine must not decide which way is tested."""
    monkeypatch.setattr(stacks.shutil, "which", lambda name: None)


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Layout, subprocess.Popen[bytes]]]:
    layout = new_run(tmp_path_factory.mktemp("runs") / "hanging")
    process = subprocess.Popen(
        [sys.executable, str(HERE / "hanging.py"), str(layout.root), "0"],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )
    deadline = time.monotonic() + 120
    while read_sign(layout, 0) is None:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    yield layout, process
    process.kill()
    process.wait()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that counts the signal in question, and would be found out by that."""
    code = (
        "import signal, sys\n"
        f"signal.signal({int(STACK_SIGNAL)}, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


def sign(pid: int, **known: object) -> RankSign:
    plain = {
        "t": time.time(),
        "rank": 0,
        "world": 1,
        "host": socket.gethostname(),
        "born": process_born(pid),
        "step": 1,
    }
    return RankSign(**{**plain, "pid": pid, "activity": "scoring", "since": 0.0, "stacks": True, **known})  # type: ignore[arg-type]


def test_long_lines_are_looked_at_in_a_moment() -> None:
    lines = ["Thread 0x1 (most recent call first):", *["    " + " (" * 20_000 + "x"] * 2, "    step (train.py:12)"]
    began = time.monotonic()
    (thread,) = stacks._threads("\n".join(lines))
    assert thread.frames == (stacks.Frame("step", "train.py", 12),) and time.monotonic() - began < 5


def told(run: Layout, one: RankSign) -> None:
    run.ranks.mkdir(exist_ok=True)
    write_sign(run, one)


def untouched(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process that ends at the first signal goes on to its own end."""
    process.communicate(b"", timeout=30)
    return process.returncode == 0


def test_a_rank_that_hangs_with_pythons_lock_in_hand_says_in_which_function(
    hanging: tuple[Layout, subprocess.Popen[bytes]],
) -> None:
    layout, process = hanging
    for _ in range(2):
        found = ask(layout.root, 0)
        frames = found.threads[0].frames
        assert [frame.function for frame in frames] == ["match", "waits_for_godot", "main", "<module>"]
        assert [Path(frame.file).name for frame in frames[1:]] == ["hanging.py"] * 3
    assert process.poll() is None


def test_the_command_line_shows_it(
    hanging: tuple[Layout, subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(hanging[0].root)
    assert main(["ctl", root, "stack"]) == 0
    assert "waits_for_godot" in capsys.readouterr().out
    assert main(["ctl", root, "stack", "0", "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["threads"][0]["frames"][1]["function"] == "waits_for_godot"
    assert main(["ctl", root, "stack", "1"]) == 1
    assert "no sign of life" in capsys.readouterr().err
    assert main(["ctl", root, "stack", "first"]) == 2


def test_a_process_that_is_stopped_is_not_waited_for_for_ever(
    hanging: tuple[Layout, subprocess.Popen[bytes]],
) -> None:
    layout, process = hanging
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(NoStack, match=r"did not answer within 0\.3 s"):
            ask(layout.root, 0, patience=0.3)
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.poll() is None


def test_a_recycled_number_is_left_alone(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    run = new_run(tmp_path / "run")
    told(run, sign(stranger.pid, born=(process_born(stranger.pid) or 0) - 1))
    with pytest.raises(NoStack, match="another one now"):
        ask(run.root, 0)
    told(run, sign(stranger.pid, born=None))
    with pytest.raises(NoStack, match="another one now"):
        ask(run.root, 0)
    assert untouched(stranger)


def test_a_run_that_names_somebody_elses_process_cannot_have_it_signalled(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    run = new_run(tmp_path / "run")
    told(run, sign(stranger.pid))
    with pytest.raises(NoStack, match="left alone"):
        ask(run.root, 0)
    run.stack(0).parent.mkdir()
    run.stack(0).touch()
    with pytest.raises(NoStack, match="left alone"):
        ask(run.root, 0)
    assert untouched(stranger)


def test_a_process_without_the_handler_is_not_signalled(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.stack(0).parent.mkdir()
    held = run.stack(0).open("wb")
    # Holds the file open, and would be ended by nothing; the kernel says that it does not catch the signal.
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=held)
    try:
        told(run, sign(process.pid))
        with pytest.raises(NoStack, match="left alone"):
            ask(run.root, 0)
        told(run, sign(process.pid, stacks=False))
        with pytest.raises(NoStack, match="no handler"):
            ask(run.root, 0)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
        held.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_another_users_process_is_left_alone(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    process = subprocess.Popen(["sleep", "60"], user=65534)
    try:
        told(run, sign(process.pid))
        with pytest.raises(NoStack, match="another user"):
            ask(run.root, 0)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("pid", [0, -1, 1, 2**40])
def test_numbers_that_mean_more_than_one_process_are_refused(tmp_path: Path, pid: int) -> None:
    run = new_run(tmp_path / "run")
    told(run, sign(pid, born=5))
    with pytest.raises(NoStack):
        ask(run.root, 0)


def test_on_another_machine_the_command_for_it_is_said(tmp_path: Path) -> None:
    run = new_run(tmp_path / "a run")
    told(run, sign(os.getpid(), host="node7"))
    with pytest.raises(NoStack, match=r"runs on node7; ask it there: rlpeaks ctl '/.*a run' stack 0$"):
        ask(run.root, 0)


def test_py_spy_is_asked_first_and_its_answer_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: subprocess.Popen[bytes]
) -> None:
    spy = tmp_path / "py-spy"
    dump = (
        'Process 7: python train.py\nPython v3.11.7 (/usr/bin/python3.11)\n\nThread 8 (idle): "rlpeaks-heartbeat"\n'
        '    wait (threading.py:327)\nThread 7 (active): "MainThread"\n'
        "    reward (rewards.py:41)\n    <module> (t.py:9)\n"
    )
    spy.write_text(f"#!/bin/sh\n[ \"$4\" = {stranger.pid} ] || exit 1\ncat <<'EOF'\n{dump}\nEOF\n")
    spy.chmod(0o755)
    monkeypatch.setattr(stacks.shutil, "which", lambda name: str(spy))
    run = new_run(tmp_path / "run")
    told(run, sign(stranger.pid))
    found = ask(run.root, 0)
    assert found.way == "py-spy" and [thread.name for thread in found.threads] == [
        "training thread",
        "thread rlpeaks-heartbeat",
    ]
    assert [(f.function, f.file, f.line) for f in found.threads[0].frames] == [
        ("reward", "rewards.py", 41),
        ("<module>", "t.py", 9),
    ]
    assert untouched(stranger)


def test_a_handler_of_the_program_itself_is_kept(tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        f"signal.signal({int(STACK_SIGNAL)}, lambda *_: print('mine'))\n"
        "from rlpeaks_tui.instrument.stacks import write_on_signal\n"
        "from rlpeaks_tui.run.layout import Layout\n"
        "from pathlib import Path\n"
        "print(write_on_signal(Layout(Path(sys.argv[1])), 0))\n"
        f"signal.raise_signal({int(STACK_SIGNAL)})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nmine\n"


BUSY = """
import json, sys, threading
from pathlib import Path
from rlpeaks_tui.instrument import stacks
from rlpeaks_tui.run.layout import Layout
assert stacks.write_on_signal(Layout(Path(sys.argv[1])), 0)
def work():
    while True:
        json.dumps([{str(i): [i] * 20} for i in range(200)], indent=1)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_process_with_busy_threads_lives_through_many_questions(tmp_path: Path) -> None:
    """The main thread waits in C and has given Python's lock to the others, as one that trains mostly has."""
    layout = Layout(tmp_path / "run")
    layout.create()
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(layout.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for _ in range(600):
            os.kill(process.pid, STACK_SIGNAL)
            # Signals that wait are one: each is taken before the next is sent.
            size, deadline = layout.stack(0).stat().st_size, time.monotonic() + 0.02
            while layout.stack(0).stat().st_size == size and time.monotonic() < deadline:
                pass
        assert process.poll() is None, f"ended with {process.returncode}"
        assert layout.stack(0).read_text().count("Stack (most recent call first):") > 100
    finally:
        process.kill()
        process.communicate()
