"""The command line as a script uses it: exit statuses, stable keys, and output that anything can read."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui import cli
from rlpeaks_tui.run.entries import Alert, Command, Entry, Metrics, Phase, Probe, State
from rlpeaks_tui.run.facts import Exit, process_alive, read_exit, read_facts, write_exit
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.stats.catalog import CATALOG, lookup
from rlpeaks_tui.stats.rules import RULES
from rlpeaks_tui.verbs.headless import read_all
from rlpeaks_tui.verbs.start import progress_line
from tests.cockpit_fakes import steered_run
from tests.run_fakes import BEGAN, NASTY, Call, finished_run, is_safe, live_run, new_run, rlpeaks

# Requests


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["ls", "extra"],
        ["status"],
        ["ctl"],
        ["ctl", "--fast", "demo", "pause"],
        ["ctl", "demo", "--fast"],
        ["ctl", "demo", "pause", "--timeout"],
        ["export", "demo"],
        ["ctl", "demo", "pause", "--timeout", "soon"],
        ["--nonsense"],
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(call: Call, words: list[str]) -> None:
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert err.startswith("rlpeaks") and err.count("\n") == 1 and "--help" in err


def test_a_progress_line_says_which_of_its_figures_are_of_an_earlier_step(tmp_path: Path) -> None:
    layout = new_run(tmp_path / "demo", pid=os.getpid(), max_steps=50)
    journal = JournalWriter(layout.journal, "trainer")
    journal.write(
        State(t=BEGAN, state="running"),
        Metrics(t=BEGAN, step=1, v={"reward": 0.25, "kl/base_k3": 0.0}),
        Metrics(t=BEGAN, step=40, v={"reward": 0.75}),
    )
    line = progress_line(read_all(layout.root))
    assert line.startswith("step 40/50") and "reward 0.750  KL k3 0.000 (step 1)" in line
    journal.write(Metrics(t=BEGAN, step=41, v={"kl/base_k3": 0.125}))
    assert progress_line(read_all(layout.root)).endswith("KL k3 0.125")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "-x", "a\nb"])
def test_a_name_that_no_run_can_have_is_refused_and_nothing_starts(call: Call, runs: Path, name: str) -> None:
    status, out, err = call("run", "quickstart", f"--name={name}")
    assert (status, out) == (2, "") and "use letters" in err and err.count("\n") == 1
    assert not runs.exists() or not list(runs.iterdir())


def test_an_unknown_verb_is_told_the_known_ones(call: Call) -> None:
    _, _, err = call("fly")
    verbs = ("run", "watch", "replay", "ls", "status", "compare", "ctl", "export", "explain", "doctor")
    assert all(verb in err for verb in verbs)


def test_help_and_version(call: Call) -> None:
    assert call("--help")[0] == 0 and "watch" in call("--help")[1]
    assert call("--version")[1].startswith("rlpeaks ")
    assert call("status", "--help")[0] == 0


@pytest.mark.parametrize(
    "words", [["status", "x"], ["ctl", "x", "pause"], ["export", "x", "-o", "x.csv"], ["watch", "x"], ["replay", "x"]]
)
def test_a_run_that_is_not_there(call: Call, runs: Path, words: list[str]) -> None:
    finished_run(runs / "demo")
    status, out, err = call(*words)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "no run 'x'" in err and "demo" in err


def test_the_cockpit_needs_a_terminal(call: Call, runs: Path) -> None:
    assert call("watch")[0] == 2
    finished_run(runs / "demo")
    for verb in ("watch", "replay"):
        status, out, err = call(verb, "demo")
        assert (status, out) == (2, "") and "needs a terminal" in err and "rlpeaks status" in err


# ls

LS = {"run", "state", "step", "max_steps", "phase", "reward", "model", "created", "directory", "why"}


def test_ls_gives_one_object_a_line_always_with_the_same_keys(call: Call, runs: Path) -> None:
    assert call("ls", "--json") == (0, "", "")
    finished_run(runs / "done", created=BEGAN)
    live_run(runs / "live")
    (runs / "broken").mkdir()
    (runs / "broken" / "run.json").write_text("{")
    shutil.copytree(runs / "done", runs / "copied")
    status, out, err = call("ls", "--json")
    rows = {row["run"]: row for row in map(json.loads, out.splitlines())}
    assert (status, err, set(rows)) == (0, "", {"done", "live", "broken", "copied"})
    assert all(set(row) == LS for row in rows.values())
    assert {name: row["state"] for name, row in rows.items()} == {
        "done": "finished",
        "live": "running",
        "broken": "unreadable",
        "copied": "finished",
    }
    assert (rows["done"]["step"], rows["done"]["model"]) == (3, "tiny_arith")
    assert math.isclose(rows["done"]["reward"], 0.2), "the mean of its steps, not the last one"
    assert "damaged" in rows["broken"]["why"] and rows["broken"]["step"] is None
    # What ls calls a run is what the other verbs find it by.
    for name in ("done", "live", "copied"):
        assert call("status", name)[0] == 0
    text = call("ls")[1]
    assert "reward, mean of last 20" in text.splitlines()[0]
    assert len(text.splitlines()) == 5 and "3/3" in text and "damaged" in text


def test_status_of_a_killed_run_names_the_signal_and_the_way_on(call: Call, runs: Path) -> None:
    steered_run(runs / "quickstart", steps=200).exit(1, "SIGKILL")
    lines = call("status", "quickstart")[1].splitlines()
    assert lines[1] == "  killed by SIGKILL: as a rule its machine was out of memory"
    assert lines[2].startswith("  a new run goes on from the weights of its newest checkpoint, step 100: rlpeaks run")


def test_ls_says_that_a_run_is_stuck(call: Call, runs: Path) -> None:
    run = steered_run(runs / "quickstart", steps=40, world=2)
    run.sign(0, "generating", 71.0, typical=12.5, waiting="all_gather")
    run.sign(1, "generating", 72.0, typical=12.5)
    live_run(runs / "live")
    head, stuck, live = call("ls")[1].splitlines()
    assert "running, stuck  " in stuck and "running  " in live
    assert stuck.index("40/1000") + len("40/1000") == head.index("step") + 4
    assert {json.loads(row)["state"] for row in call("ls", "--json")[1].splitlines()} == {"running"}


def test_ls_of_nothing_says_how_to_begin(call: Call) -> None:
    status, out, _ = call("ls")
    assert status == 0 and "rlpeaks run quickstart" in out


# status

STATUS = {
    *("run", "directory", "state", "activity", "why", "step", "max_steps", "speed", "eta_s", "phase"),
    *("metrics", "missing", "alerts", "commands", "effects", "exit", "telemetry_lost", "pace", "stuck"),
}


def test_status_tells_the_latest_of_everything(call: Call, runs: Path) -> None:
    layout = live_run(runs / "demo")
    JournalWriter(layout.journal, "trainer").write(
        Phase(t=BEGAN, step=1, name="easy", index=0, of=1),
        Metrics(t=BEGAN, step=5, v={"reward": None, "kl": None}, why={"reward": "no completions", "kl": "beta is 0"}),
        Alert(t=BEGAN, rule="entropy", on=True, step=4, text="falls", remedy="lower the rate"),
        Alert(t=BEGAN, rule="reward", on=True, step=4),
        Alert(t=BEGAN, rule="reward", on=False, step=5),
        Command(t=BEGAN, id="1", verb="pause", status="refused", step=4, why="no"),
    )
    status, out, err = call("status", "demo", "--json")
    told = json.loads(out)
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert set(told) == STATUS
    assert (told["run"], told["state"], told["step"], told["max_steps"], told["phase"]) == (
        "demo",
        "running",
        5,
        10,
        "easy",
    )
    assert told["metrics"] == {"reward": {"step": 4, "value": 0.25}, "kl": None}
    assert told["missing"] == {"kl": "beta is 0"}
    assert [a["rule"] for a in told["alerts"]] == ["entropy"]
    assert set(told["alerts"][0]) == {"rule", "severity", "step", "text", "remedy"}
    assert [(c["verb"], c["status"], c["why"]) for c in told["commands"]] == [("pause", "refused", "no")]
    assert told["directory"] == str((runs / "demo").resolve()) and told["exit"] is None
    text = call("status", "demo")[1]
    assert (
        "demo: running, step 5 of 10, phase easy" in text
        and "ALERT entropy, told at step 4: " in text
        and "beta is 0" in text
    )


def test_status_of_a_failed_run_shows_its_traceback(call: Call, runs: Path) -> None:
    layout = live_run(runs / "demo")
    write_exit(layout, Exit(t=BEGAN, code=1, tail=["Traceback", "ValueError: no"]))
    assert json.loads(call("status", "demo", "--json")[1])["exit"]["tail"] == ["Traceback", "ValueError: no"]
    text = call("status", "demo")[1]
    assert "demo: failed" in text and "exit status 1" in text and "| ValueError: no" in text


def test_a_hostile_run_cannot_steer_the_terminal_that_asks_for_its_status(call: Call, runs: Path) -> None:
    words = [nasty for nasty in NASTY if "\ud800" not in nasty]
    layout = new_run(runs / "demo", model=words[0], config={words[1]: words[2]})
    lines = [
        {"k": "state", "t": 1, "state": "failed", "why": words[3]},
        {"k": "phase", "t": 1, "step": 1, "name": words[4], "index": 0, "of": 1},
        *({"k": "metrics", "t": 1, "step": 1, "v": {word: None}, "why": {word: word}} for word in words),
        *({"k": "alert", "t": 1, "step": 1, "rule": word, "on": True, "text": word} for word in words),
    ]
    (layout.journal / "trainer-000001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    layout.exit.write_text(json.dumps({"t": 1, "code": 1, "tail": words}))
    for request in (
        ["status", "demo"],
        ["status", "demo", "--json"],
        ["ls"],
        ["ls", "--json"],
        ["export", "demo", "-o", "-"],
    ):
        status, out, err = call(*request)
        assert status == 0 and err == "" and len(out) > 20
        assert is_safe(out), request


# export


@st.composite
def journals(draw: st.DrawFn) -> list[Entry]:
    names = ["reward", "kl", 'odd,"name"', "time/step"]
    value = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
    rows: list[Entry] = []
    for _ in range(draw(st.integers(0, 12))):
        step = draw(st.integers(0, 8))
        values = draw(st.dictionaries(st.sampled_from(names), value, max_size=4))
        rows.append(
            draw(st.sampled_from([Metrics(t=1.0, step=step, v=values), Probe(t=1.0, name="p", step=step, v=values)]))
        )
    return rows


@given(journals())
@settings(max_examples=50)
def test_an_exported_table_is_the_columns(entries: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as name:
        layout = new_run(Path(name) / "demo")
        JournalWriter(layout.journal, "trainer").write(*entries)
        outputs = {ending: Path(name) / f"out.{ending}" for ending in ("csv", "jsonl")}
        for output in outputs.values():
            assert cli.main(["export", str(layout.root), "-o", str(output)]) == 0
        follower = Follower(layout.root)
        follower.poll(10)
        columns = follower.snapshot().columns
        with outputs["csv"].open(newline="") as file:
            header, *table = csv.reader(file)
        objects = [json.loads(line) for line in outputs["jsonl"].read_text().splitlines()]
    assert header == ["step", *columns.names()]
    steps = sorted({step for name in columns for step in columns[name].steps.tolist()})
    assert [int(row[0]) for row in table] == [o["step"] for o in objects] == steps
    for i, metric in enumerate(header[1:], 1):
        series = columns[metric]
        for row, thing in zip(table, objects, strict=True):
            at = np.flatnonzero((series.steps == int(row[0])) & np.isfinite(series.values))
            expected = series.values[at[-1]] if len(at) else None
            assert (float(row[i]) if row[i] else None) == thing.get(metric) == expected


def test_export_to_standard_output_and_over_an_older_file(call: Call, runs: Path, tmp_path: Path) -> None:
    finished_run(runs / "demo")
    status, out, _ = call("export", "demo", "-o", "-")
    assert status == 0 and list(csv.reader(io.StringIO(out)))[:2] == [["step", "reward", "kl"], ["1", "0.1", ""]]
    target = tmp_path / "old.csv"
    target.write_text("old")
    status, said, _ = call("export", "demo", "-o", str(target))
    assert status == 0 and "3 steps x 2 metrics" in said and target.read_text() == out
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_export_says_what_its_columns_are(call: Call, runs: Path, tmp_path: Path, ending: str) -> None:
    layout = new_run(runs / "demo")
    values = {"reward": 0.1, "kl/base": 0.2, "eval/pass@8": 0.3, 'odd,"name"': 0.4, "format/direct": 0.5}
    JournalWriter(layout.journal, "trainer").write(Metrics(t=1.0, step=1, v=values))
    target = tmp_path / f"table.of.1.{ending}"
    status, out, err = call("export", "demo", "-o", str(target))
    beside = tmp_path / "table.of.1.columns.csv"
    assert (status, err) == (0, "") and f"{beside}: what each column is" in out
    with beside.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["column", "title", "unit", "formula", "estimator", "source"]
    assert rows[0]["column"] == "step" and {row["column"] for row in rows} == {"step", *values}
    for row in rows[1:]:
        known = lookup(row["column"])
        expected = (known.title, known.unit, known.formula, known.estimator, known.source) if known else ("",) * 5
        assert tuple(row.values())[1:] == expected
    if ending == "csv":
        with target.open(newline="") as file:
            assert next(csv.reader(file)) == [row["column"] for row in rows]


def test_standard_output_gets_the_table_alone(call: Call, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run(runs / "demo")
    monkeypatch.chdir(runs)
    assert call("export", "demo", "-o", "-")[0] == 0
    assert not list(runs.glob("*.csv"))


def test_a_table_whose_columns_cannot_be_told_stands(call: Call, runs: Path, tmp_path: Path) -> None:
    finished_run(runs / "demo")
    target = tmp_path / "run.csv"
    (tmp_path / "run.columns.csv").mkdir()
    status, out, err = call("export", "demo", "-o", str(target))
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "run.csv is written" in err and "run.columns.csv" in err and target.read_text().startswith("step,")


@pytest.mark.parametrize(
    "output", ["x.xlsx", "x", ".csv", "nowhere/x.csv", "/proc/x.csv", "/dev/null/x.csv", "a" * 300 + ".csv"]
)
def test_export_where_it_cannot_be(call: Call, runs: Path, output: str) -> None:
    finished_run(runs / "demo")
    status, out, err = call("export", "demo", "-o", output)
    assert (status, out) == (2, "") and err.count("\n") == 1 and output[:20] in err


# explain, doctor


def test_explain_lists_and_tells_every_metric(call: Call) -> None:
    status, listing, _ = call("explain")
    assert status == 0
    for metric in CATALOG:
        assert metric.name in listing
        status, out, err = call("explain", metric.name)
        assert (status, err) == (0, "") and metric.name in out and "formula" in out and "misleads" in out


def test_explain_of_a_name_that_is_close(call: Call) -> None:
    status, out, err = call("explain", "entropi")
    assert (status, out) == (2, "") and "entropy" in err and err.count("\n") == 1
    assert call("explain", "\x1b[2J")[0] == 2 and is_safe(call("explain", "\x1b[2J")[2])


DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize(("option", "page"), [("--markdown", "metrics.md"), ("--rules", "health-rules.md")])
def test_the_reference_pages_are_what_the_program_says_now(call: Call, option: str, page: str) -> None:
    status, out, err = call("explain", option)
    assert (status, err) == (0, "")
    assert (DOCS / page).read_text() == out, f"rlpeaks explain {option} > docs/{page}"
    assert max(map(len, out.splitlines())) < 1000 and out.endswith("\n") and not out.endswith("\n\n")


def test_the_reference_pages_leave_nothing_out(call: Call) -> None:
    metrics, rules = call("explain", "--markdown")[1], call("explain", "--rules")[1]
    for metric in CATALOG:
        assert f"\n`{metric.name}`\n" in metrics and f"`{metric.formula}`" in metrics
    for rule in RULES:
        assert f"\n`{rule.id}`\n" in rules and f"- remedy: `{rule.remedy}`" in rules
    assert "{" not in rules  # evidence is shown with the names of its numbers
    assert call("explain", "--rules", "--markdown")[0] == call("explain", "reward", "--rules")[0] == 2


def test_doctor_says_what_is_there(call: Call, runs: Path) -> None:
    status, out, err = call("doctor")
    assert (status, err) == (0, "")
    assert all(word in out for word in ("python", "textual", "torch", "tiny_arith: bundled", str(runs)))


# In a process of its own: pipes, encodings, signals


def shell(command: str, runs: Path, **env: str) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m rlpeaks_tui.cli"
    # As a person has it: output waits in a buffer until the end.
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", f"{command.replace('rlpeaks', program)}; echo ${{PIPESTATUS[@]}}"],
        env={**mine, "RLPEAKS_RUNS": str(runs), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("verb", ["ls", "ls --json", "status demo", "--help", "explain", "export demo -o -"])
def test_a_reader_that_leaves_is_no_error(runs: Path, verb: str) -> None:
    finished_run(runs / "demo", steps=20_000 if "export" in verb else 3)
    # `head -0` closes the pipe at once; true never reads at all.
    for reader in ("head -0", "true"):
        done = shell(f"rlpeaks {verb} | {reader}", runs)
        assert (done.stdout, done.stderr) == ("0 0\n", "")


def test_output_that_is_closed_from_the_start(runs: Path) -> None:
    finished_run(runs / "demo")
    assert shell("rlpeaks ls >&-", runs).stdout == "0\n"
    done = shell("rlpeaks status nowhere >&-", runs)
    assert done.stdout == "2\n" and "no run" in done.stderr


def test_a_terminal_that_lacks_the_letters(runs: Path) -> None:
    layout = finished_run(runs / "d\u00e9mo")
    JournalWriter(layout.journal, "trainer").write(Metrics(t=1.0, step=9, v={"r\u00e9compense": 1.0}))
    done = rlpeaks("status", "d\u00e9mo", runs=runs, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "") and "r?compense" in done.stdout
    done = rlpeaks("status", "\u4e09", runs=runs, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2 and "no run" in done.stderr


def test_a_run_whose_name_is_no_text(runs: Path) -> None:
    finished_run(runs / os.fsdecode(b"\xff"), name="odd")
    for verb in ("ls", "ls --json", "status $'\\xff'", "status $'\\xff' --json"):
        done = shell(f"rlpeaks {verb}", runs)
        assert done.stderr == "" and done.stdout.endswith("\n0\n") and "finished" in done.stdout


# `rlpeaks run`, with a program of ours in the place of `accelerate launch`

TRAINS = """
import os, sys
from pathlib import Path
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.run.entries import Metrics
recorder = Recorder(Path(sys.argv[-1]))
recorder.state("running")
recorder.step = 1
recorder.write(Metrics(t=1.0, step=1, v={"reward": 0.5}))
"""
ENDS = {
    "well": "recorder.state('finished')\nrecorder.close()",
    "stopped": "recorder.state('stopped')\nrecorder.close()",
    "badly": "recorder.state('failed', why='ValueError: no')\nrecorder.close()\nraise ValueError('no')",
    "refused": "recorder.state('failed', why='no such model', refused=True)\nrecorder.close()\nsys.exit(1)",
    "killed": "import signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "never": "import signal\nsignal.pause()",
}


@pytest.fixture
def accelerate(tmp_path: Path, runs: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `rlpeaks run quickstart` with an Accelerate that runs the given end of a training."""
    launch = tmp_path / "fake" / "accelerate" / "commands" / "launch.py"
    launch.parent.mkdir(parents=True)
    (launch.parent / "__init__.py").touch()
    (launch.parent.parent / "__init__.py").touch()

    def run(end: str, *options: str) -> subprocess.Popen[str]:
        launch.write_text(TRAINS + ENDS[end])
        env = {**os.environ, "RLPEAKS_RUNS": str(runs), "PYTHONPATH": str(launch.parent.parent.parent)}
        command = [sys.executable, "-m", "rlpeaks_tui.cli", "run", "quickstart", *options]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)

    return run


@pytest.mark.parametrize(
    ("end", "status", "out", "err"),
    [
        ("well", 0, "quickstart finished at step 1", ""),
        ("stopped", 0, "quickstart stopped at step 1", ""),
        ("badly", 1, "step 1/500  reward 0.500", "ValueError: no"),
        ("killed", 1, "step 1/500", "killed by SIGKILL"),
        ("refused", 2, "", "rlpeaks: no such model\n"),
    ],
)
def test_run_headless_ends_as_the_training_does(
    accelerate: Callable[..., subprocess.Popen[str]], runs: Path, end: str, status: int, out: str, err: str
) -> None:
    process = accelerate(end, "--headless")
    said, problem = process.communicate(timeout=60)
    assert process.returncode == status, problem
    assert out in said and err in problem
    assert "starting: starting\n" not in said
    if status == 0:
        assert problem == ""
    if end == "refused":
        assert problem == err and list(runs.iterdir()) == []
    else:
        found = read_exit(Layout(runs / "quickstart"))
        assert found is not None and (found.code == 0) == (status == 0)
    if end == "badly":
        assert "Traceback (most recent call last)" in problem


def test_a_run_is_given_the_commands_of_another(
    accelerate: Callable[..., subprocess.Popen[str]], call: Call, runs: Path, tmp_path: Path
) -> None:
    layout = finished_run(runs / "before")
    asked = Command(t=BEGAN, id="1", verb="reset", args=["--to", "base"], status="applied", step=2)
    JournalWriter(layout.journal, "trainer").write(asked)
    process = accelerate("well", "--headless", "--commands", "before")
    _, problem = process.communicate(timeout=60)
    assert process.returncode == 0, problem
    (planned,) = read_facts(Layout(runs / "quickstart")).commands
    assert (planned.step, planned.verb, planned.args) == (2, "reset", ["--to", "base"])
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"step": 2, "verb": "fly"}\n')
    for named, said in (
        (str(wrong), "wrong.jsonl, line 1: there is no command 'fly'"),
        ("nowhere", "no run 'nowhere'"),
    ):
        status, out, err = call("run", "quickstart", "--commands", named)
        assert (status, out) == (2, "") and said in err and err.count("\n") == 1
    assert sorted(path.name for path in runs.iterdir()) == ["before", "quickstart"]


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def launcher(directory: Path) -> int:
    first = (directory / "journal" / "launcher-000001.jsonl").read_text().splitlines()[0]
    return int(json.loads(first)["pid"])


def end_of(directory: Path) -> Exit | None:
    """Ends the training of `directory` and gives how that was written down."""
    os.kill(launcher(directory), signal.SIGTERM)
    wait(lambda: read_exit(Layout(directory)) is not None)
    return read_exit(Layout(directory))


def trained(directory: Path) -> bool:
    journal = directory / "journal" / "trainer-000001.jsonl"
    return journal.exists() and '"metrics"' in journal.read_text()


def test_ctrl_c_leaves_the_screen_and_not_the_training(
    accelerate: Callable[..., subprocess.Popen[str]], runs: Path
) -> None:
    process = accelerate("never", "--headless")
    assert process.stdout is not None
    wait(lambda: trained(runs / "quickstart"))
    while "reward" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert process_alive(launcher(runs / "quickstart")) and read_exit(Layout(runs / "quickstart")) is None
    found = end_of(runs / "quickstart")
    assert found is not None and found.signal == "SIGTERM"


def test_what_a_detached_run_says_to_type_finds_it_from_elsewhere(
    accelerate: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    other = tmp_path / "other runs"
    out, err = accelerate("well", "--detach", "--runs", str(other)).communicate(timeout=60)
    assert err == "" and "watch it with: rlpeaks watch " in out
    told = out.partition("watch it with: rlpeaks watch ")[2]
    # As a shell takes it, from a folder that knows nothing of it.
    command = f"{shlex.quote(sys.executable)} -m rlpeaks_tui.cli status {told}"
    env = {name: value for name, value in os.environ.items() if name != "RLPEAKS_RUNS"}
    env["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(command, shell=True, cwd="/", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "quickstart" in done.stdout, done.stderr
    wait(lambda: read_exit(Layout(other / "quickstart")) is not None)


def test_detached_runs_get_names_of_their_own_and_go_on(
    accelerate: Callable[..., subprocess.Popen[str]], runs: Path
) -> None:
    for name, options in (("quickstart", []), ("quickstart-2", []), ("mine", ["--name", "mine"])):
        process = accelerate("never", "--detach", *options)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "") and f"rlpeaks watch {name}" in out
        wait(lambda name=name: trained(runs / name))
    process = accelerate("never", "--detach", "--name", "mine")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "") and "is there already" in err
    assert sorted(path.name for path in runs.iterdir()) == ["mine", "quickstart", "quickstart-2"]
    rows: list[dict[str, Any]] = [json.loads(line) for line in rlpeaks("ls", "--json", runs=runs).stdout.splitlines()]
    assert {row["state"] for row in rows} == {"running"} and all(math.isclose(row["reward"], 0.5) for row in rows)
    for path in runs.iterdir():
        assert end_of(path) is not None
