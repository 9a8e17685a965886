"""The supervisor, with real processes: how a training ended is written down whatever ended it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlpeaks_tui.launch.supervisor import accelerate_command, environment
from rlpeaks_tui.run.facts import Exit, Heartbeat, process_alive, read_exit, write_heartbeat
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.layout import Layout
from tests.run_fakes import info, is_safe, new_run

# Runs `supervise` on a directory with another program in the place of `accelerate launch`.
SUPERVISOR = """
import sys
from pathlib import Path
from rlpeaks_tui.launch import supervisor
supervisor.accelerate_command = lambda info, directory: [sys.executable, "-c", sys.argv[2], str(directory)]
sys.exit(supervisor.supervise(Path(sys.argv[1])))
"""

# What `accelerate launch` does with one process (accelerate/commands/launch.py, simple_launcher).
LAUNCHER = """
import subprocess, sys
cmd = [sys.executable, "-c", {child!r}]
process = subprocess.Popen(cmd)
process.wait()
if process.returncode != 0:
    exec(compile("raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)",
                 "/x/accelerate/commands/launch.py", "exec"))
"""

DIES = "import os, signal; os.kill(os.getpid(), signal.{name})"
RAISES = """
def inner():
    raise ValueError("not like this")
def outer():
    try:
        {}["missing"]
    except KeyError as error:
        inner()
print("loading", flush=True)
outer()
"""


@pytest.fixture
def run(tmp_path: Path) -> Layout:
    return new_run(tmp_path / "demo", created=time.time())


def began(run: Layout, program: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SUPERVISOR, str(run.root), program]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def ended(run: Layout, program: str) -> tuple[int, Exit]:
    process = began(run, program)
    _, err = process.communicate(timeout=60)
    assert err == b""
    found = read_exit(run)
    assert found is not None
    return process.returncode, found


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def state(run: Layout) -> tuple[str, str]:
    follower = Follower(run.root)
    follower.poll(10)
    snapshot = follower.snapshot()
    return snapshot.state, snapshot.why


@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_exit_status_is_passed_on_and_written_down(run: Layout, code: int) -> None:
    status, found = ended(run, f"import sys; print('hello'); sys.exit({code})")
    assert (status, found.code, found.signal) == (code, code, "")
    assert found.tail == ([] if code == 0 else ["hello"])
    assert run.console.read_bytes() == b"hello\n" and run.console.stat().st_mode & 0o777 == 0o600
    assert state(run) == (("finished", "") if code == 0 else ("failed", f"exit status {code}"))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
@pytest.mark.parametrize("between", [False, True], ids=["direct", "through a launcher"])
def test_a_signal_is_named_also_where_only_the_launcher_saw_it(run: Layout, name: str, between: bool) -> None:
    dies = DIES.format(name=name)
    status, found = ended(run, LAUNCHER.format(child=dies) if between else dies)
    assert status != 0
    assert (found.code, found.signal) == (1 if between else -getattr(signal, name), name)
    assert state(run) == ("failed", f"killed by {name}")
    assert not any("accelerate" in line or "CalledProcessError" in line for line in found.tail)


def test_a_signal_without_a_name_is_a_number(run: Layout) -> None:
    _, found = ended(run, "import os; os.kill(os.getpid(), 40)")
    assert (found.code, found.signal) == (-40, "signal 40")


def test_a_signal_seen_by_the_launcher_of_several_processes(run: Layout) -> None:
    # torch.distributed.elastic's own words
    _, found = ended(run, "import sys; print('  traceback : Signal 9 (SIGKILL) received by PID 77'); sys.exit(1)")
    assert found.signal == "SIGKILL"


@pytest.mark.parametrize("between", [False, True], ids=["direct", "through a launcher"])
def test_the_tail_is_the_training_processs_own_last_traceback(run: Layout, between: bool) -> None:
    _, found = ended(run, LAUNCHER.format(child=RAISES) if between else RAISES)
    assert found.tail[0] == "Traceback (most recent call last):"
    assert found.tail[-1] == "ValueError: not like this"
    assert not any("KeyError" in line or "accelerate" in line or "loading" in line for line in found.tail)


def test_a_traceback_of_one_of_several_ranks_is_found_behind_its_prefix(run: Layout) -> None:
    lines = ["Traceback (most recent call last):", '  File "x.py", line 1', "RuntimeError: out of memory"]
    told = "\n".join([*(f"[rank0]: {line}" for line in lines), "E1123 torch/distributed/elastic failed", "bye"])
    _, found = ended(run, f"import sys; print({told!r}); sys.exit(1)")
    assert found.tail == lines


def test_a_long_traceback_keeps_its_end(run: Layout) -> None:
    program = "\n".join(["def f0(): 1 / 0", *(f"def f{i}(): f{i - 1}()" for i in range(1, 30)), "f29()"])
    _, found = ended(run, program)
    assert len(found.tail) == 12 and found.tail[-1] == "ZeroDivisionError: division by zero"


def test_without_a_traceback_the_tail_is_the_end_of_the_console(run: Layout) -> None:
    _, found = ended(run, "import sys\nfor i in range(100): print('line', i)\nprint()\nsys.exit(3)")
    assert found.tail == [f"line {i}" for i in range(88, 100)]


def test_a_console_full_of_escapes_is_written_down_clean_and_kept_as_it_was(run: Layout) -> None:
    raw = b"\x1b]0;title\x07\x1b[2Jred\x1b[31m\n10%\r100%\n\xff\xfe\x9b6n\n"
    _, found = ended(run, f"import sys; sys.stdout.buffer.write({raw!r}); sys.exit(1)")
    assert run.console.read_bytes() == raw
    assert all(is_safe(line) and "\n" not in line for line in found.tail)
    assert found.tail[1] == "100%"
    assert json.loads(run.exit.read_bytes())["code"] == 1


def test_a_console_of_megabytes_is_read_from_its_end(run: Layout) -> None:
    _, found = ended(run, "import sys; print('x' * (5 << 20)); print('the end'); sys.exit(1)")
    assert found.tail[-1] == "the end" and sum(map(len, found.tail)) < 10_000


def test_the_supervisor_says_who_it_is_before_anything_else(run: Layout) -> None:
    process = began(run, "input()")
    process.communicate(timeout=60)
    first = json.loads((run.journal / "launcher-000001.jsonl").read_bytes().splitlines()[0])
    assert (first["k"], first["state"], first["by"], first["pid"]) == ("state", "starting", "launcher", process.pid)


@pytest.fixture
def grandchild(run: Layout) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A supervisor whose launcher has a training process of its own, which waits for ever."""
    trains = "import os, pathlib, signal; pathlib.Path('{}').write_text(str(os.getpid())); signal.pause()"
    pid_file = run.root / "pid"
    process = began(run, LAUNCHER.format(child=trains.format(pid_file)))
    wait(lambda: pid_file.exists() and pid_file.read_text() != "")
    pid = int(pid_file.read_text())
    yield process, pid
    for known in (pid, process.pid):
        if process_alive(known):
            os.kill(known, signal.SIGKILL)
    process.communicate()


def test_a_signal_to_the_supervisor_ends_the_training_process_too(
    run: Layout, grandchild: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, trainer = grandchild
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    found = read_exit(run)
    assert found is not None and found.signal == "SIGTERM"
    wait(lambda: not process_alive(trainer))
    assert state(run) == ("failed", "killed by SIGTERM")


def test_a_run_whose_supervisor_is_killed_lives_while_its_training_process_does(
    run: Layout, grandchild: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, trainer = grandchild
    assert state(run)[0] == "starting"
    process.kill()
    process.wait(timeout=60)
    assert read_exit(run) is None and process_alive(trainer)


def test_a_run_whose_accelerate_is_killed_lives_while_its_training_process_does(
    run: Layout, grandchild: tuple[subprocess.Popen[bytes], int]
) -> None:
    process, trainer = grandchild
    here = socket.gethostname()
    write_heartbeat(run, Heartbeat(t=time.time(), beat=1, pid=trainer, host=here, step=1))
    launcher = os.getpgid(trainer)
    assert launcher not in (trainer, process.pid)
    os.kill(launcher, signal.SIGKILL)
    wait(lambda: not process_alive(launcher))
    assert state(run)[0] == "starting" and read_exit(run) is None and process.poll() is None
    os.kill(trainer, signal.SIGKILL)
    process.wait(timeout=60)
    assert state(run)[0] == "failed"


def test_a_directory_that_is_no_run_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rlpeaks_tui.launch.supervisor", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "has no run.json" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_of_accelerate_says_what_the_run_file_says(tmp_path: Path) -> None:
    def command(**options: object) -> str:
        return " ".join(accelerate_command(info(config={"trainer": "grpo", "accelerate": options}), tmp_path))

    assert command().endswith(f"-m trainers.grpo {tmp_path}") and "--num_processes 1" in command()
    assert "--cpu" in command(cpu=True) and "--cpu" not in command(cpu=None)
    assert "--multi_gpu" in command(num_processes=2) and "--main_process_port 0" in command(num_processes=2)
    assert "--mixed_precision bf16" in command(mixed_precision="bf16")
    assert "--num_cpu_threads_per_process 3" in command(threads=3)
    configured = command(config_file="x.yaml", num_processes=1)
    assert "--config_file x.yaml" in configured and "--num_processes" not in configured


def test_accelerate_understands_its_command_line(tmp_path: Path) -> None:
    from accelerate.commands.launch import launch_command_parser

    options = {"num_processes": 2, "mixed_precision": "bf16", "threads": 3, "cpu": False}
    command = accelerate_command(info(config={"accelerate": options}), tmp_path)
    at = command.index("accelerate.commands.launch")
    read = launch_command_parser().parse_args(command[at + 1 :])
    assert (read.num_processes, read.mixed_precision, read.num_cpu_threads_per_process) == (2, "bf16", 3)
    assert (read.module, read.training_script, read.training_script_args) == (True, "trainers.grpo", [str(tmp_path)])


def test_the_training_process_finds_the_trainers_and_asks_no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    env = environment(info(config={"accelerate": {"cpu": True}}))
    first, _, rest = env["PYTHONPATH"].partition(os.pathsep)
    assert (Path(first) / "trainers" / "grpo.py").is_file() and rest == "/mine"
    assert env["TOKENIZERS_PARALLELISM"] == "true" and env["ACCELERATE_USE_CPU"] == "true"
    assert "ACCELERATE_USE_CPU" not in environment(info(config={})) or "ACCELERATE_USE_CPU" in os.environ
