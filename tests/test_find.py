"""Completions that were kept: how many there may be, and how the command line finds them again."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from rlpeaks_tui import cli
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.rollouts import Block, RolloutReader, RolloutWriter, TokenBlock
from rlpeaks_tui.verbs.find import paragraph, span
from tests.run_fakes import NASTY, Call, finished_run, is_safe, new_run

KEYS = {
    *(
        "step",
        "generation",
        "group",
        "index",
        "phase",
        "task",
        "prompt",
        "completion",
        "reward",
        "rewards",
        "advantage",
    ),
    *("correct", "confidence", "format", "length", "truncated", "logp", "base_logp", "entropy", "k3"),
}


@pytest.fixture
def find(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """One `rlpeaks find` in this process, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *words: call("find", *words)


def block(step: int, **more: Any) -> Block:
    """Two prompts with two completions each; the right one has the reward 1."""
    a, b = step * 10, 7
    known: dict[str, Any] = {
        "step": step,
        "phase": "easy",
        "prompts": [f"What is {a} plus {b}?", f"What is {a} times {b}?"],
        "group": [0, 0, 1, 1],
        "completions": [f"I think {a + b}.", f"Perhaps {a - b}.", f"I think {a * b}.", "I do not know."],
        "rewards": {"correct": [1.0, 0.0, 1.0, 0.0], "short": [0.5, None, 0.25, 0.0]},
        "reward": [1.0, -1.0, 1.0, None],
        "advantage": [0.7, -0.7, 0.7, -0.7],
        "length": [9, 8, 9, 12],
        "truncated": [False, False, False, True],
        "task": ["add", "add", "multiply", "multiply"],
        "format": ["plain", "plain", "plain", None],
        "correct": [1.0, 0.0, 1.0, None],
        "logp": [-2.0, -3.0, -2.5, -9.0],
        **more,
    }
    return Block(**known)


@pytest.fixture
def demo(runs: Path) -> Layout:
    """Five generations, of the steps 1 to 5."""
    layout = finished_run(runs / "demo", steps=5)
    writer = RolloutWriter(layout.rollouts)
    for step in range(1, 6):
        writer.append(block(step))
    return layout


def found(find: Call, *words: str) -> list[tuple[int, int]]:
    """(step, index) of what is found, in the order in which it is told."""
    status, out, _ = find("demo", "--json", *words)
    assert status == 0
    return [(hit["step"], hit["index"]) for hit in map(json.loads, out.splitlines())]


EVERY = [(step, index) for step in (5, 4, 3, 2, 1) for index in range(4)]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], EVERY),
        (["i THINK"], [(s, i) for s, i in EVERY if i in (0, 2)]),
        (["times"], [(s, i) for s, i in EVERY if i in (2, 3)]),
        (["--regex", r"is \d0 plus", "--steps", "2"], [(2, 0), (2, 1)]),
        (["--regex", r"-\d|^Perhaps", "--steps", "..1"], [(1, 1)]),
        (["--task", "add", "--steps", "4.."], [(5, 0), (5, 1), (4, 0), (4, 1)]),
        (["--reward", "0.5..1", "--steps", "2..3"], [(3, 0), (3, 2), (2, 0), (2, 2)]),
        (["--reward", "-1..0"], [(s, i) for s, i in EVERY if i == 1]),
        (["--reward", "-1", "--steps", "1"], [(1, 1)]),
        (["--right", "--steps", "5"], [(5, 0), (5, 2)]),
        (["--wrong", "--steps", "5"], [(5, 1)]),
        # A text has its place after options too, and may begin with a minus.
        (["--task", "multiply", "know"], [(s, i) for s, i in EVERY if i == 3]),
        (["--wrong", "--", "-6"], []),
        (["--limit", "3"], EVERY[:3]),
        (["--limit", "0"], EVERY),
    ],
)
def test_what_is_asked_for_is_found_newest_first(
    find: Call, demo: Layout, words: list[str], wanted: list[tuple[int, int]]
) -> None:
    assert found(find, *words) == wanted


def test_a_text_that_begins_with_a_minus_follows_two(find: Call, runs: Path) -> None:
    layout = finished_run(runs / "demo")
    RolloutWriter(layout.rollouts).append(block(1, completions=["-x", "x", "--reward", "-6"]))
    assert found(find, "--", "-x") == found(find, "--limit", "9", "--", "-x") == [(1, 0)]
    assert found(find, "--", "--reward") == [(1, 2)]
    assert found(find, "-6") == [(1, 3)] and found(find, "--regex", "-6$") == [(1, 3)]


def test_a_program_gets_everything_that_was_kept(find: Call, demo: Layout) -> None:
    status, out, err = find("demo", "--steps", "3", "--json")
    hits = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and len(hits) == 4 and all(set(hit) == KEYS for hit in hits)
    first, last = hits[0], hits[-1]
    assert (first["generation"], first["group"], first["phase"], first["task"]) == (2, 0, "easy", "add")
    assert (first["prompt"], first["completion"]) == ("What is 30 plus 7?", "I think 37.")
    assert (first["reward"], first["rewards"], first["advantage"]) == (1.0, {"correct": 1.0, "short": 0.5}, 0.7)
    assert (first["correct"], first["format"], first["length"], first["truncated"]) == (1.0, "plain", 9, False)
    assert (first["logp"], first["base_logp"], first["confidence"]) == (-2.0, None, None)
    assert (last["reward"], last["correct"], last["format"], last["truncated"]) == (None, None, None, True)
    assert hits[1]["rewards"] == {"correct": 0.0, "short": None}
    assert err == "4 completions; 1 of 5 generations read\n"


def test_a_person_gets_a_paragraph_a_completion(find: Call, demo: Layout) -> None:
    status, out, err = find("demo", "--steps", "2", "--task", "multiply")
    assert (status, err) == (0, "2 completions; 1 of 5 generations read\n")
    assert out == (
        "step 2  task multiply  group 2 of 2  reward 1  advantage +0.7  right\n"
        "prompt      What is 20 times 7?\n"
        "completion  I think 140.\n"
        "\n"
        "step 2  task multiply  group 2 of 2  advantage -0.7  cut off after 12 tokens\n"
        "prompt      What is 20 times 7?\n"
        "completion  I do not know.\n"
    )


def test_tokens_are_told_where_they_were_kept(find: Call, runs: Path) -> None:
    layout = finished_run(runs / "demo")
    logp, js = np.array([-0.5, -0.25], "<f4"), np.array([0.125, 0.0], "<f4")
    kept = TokenBlock(index=1, pieces=["Per\x1b[2J", "haps\n"], logp=logp.tobytes(), js=js.tobytes())
    RolloutWriter(layout.rollouts).append(block(1, tokens=[kept]))
    hits = [json.loads(line) for line in find("demo", "--json", "--tokens")[1].splitlines()]
    assert all(set(hit) == {*KEYS, "tokens"} for hit in hits)
    assert [hit["tokens"] for hit in hits] == [
        None,
        {
            "pieces": ["Per\ufffd", "haps\n"],
            "logp": [-0.5, -0.25],
            "base_logp": None,
            "entropy": None,
            "js": [0.125, 0.0],
        },
        None,
        None,
    ]
    _, out, _ = find("demo", "--tokens")
    assert is_safe(out) and out.count("tokens      were not kept") == 3
    table = out[out.index("completion  Perhaps") :].splitlines()[1:4]
    assert table[0].split() == ["tokens", "logp", "js", "in", "nats"]
    assert [row.split()[:2] for row in table[1:]] == [["-0.500", "0.125"], ["-0.250", "0.000"]]
    assert table[2].endswith(r"'haps\n'")


def test_the_closing_line_tells_what_was_looked_at(find: Call, demo: Layout, runs: Path) -> None:
    told = find("demo", "reward:>0.5")[2]
    assert "'reward:>0.5' was looked for as text; filters are options here, such as --reward 0.5.." in told
    assert find("demo", "zebra") == (0, "", "0 completions; 0 of 5 generations read\n")
    assert find("demo", "--limit", "1")[2].startswith("1 completion, older ones left out by --limit 1; ")
    assert "left out" not in find("demo", "--limit", "20")[2]
    told = find("demo", "--task", "divide")
    assert told[:2] == (0, "") and "no task is called 'divide'; there are: 'add', 'multiply'" in told[2]
    (demo.rollouts / "000001.pack").write_bytes(b"")
    assert find("demo") == (0, "", "0 completions; 5 of 5 generations read; 5 of them damaged\n")
    finished_run(runs / "empty")
    assert find("empty", "x") == (0, "", "0 completions; 0 of 0 generations read\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--reward", "high"], ["--reward high", "--reward 0..5"]),
        (["--reward", "1..0"], ["--reward 1..0", "lowest first"]),
        (["--reward", ".."], ["--reward ..", "write it as"]),
        (["--reward", ""], ["write it as"]),
        (["--reward", "nan..1"], ["write it as"]),
        (["--reward", "--right"], ["--reward --right", "write it as"]),
        (["--steps", "1-5"], ["--steps 1-5", "--steps 5.."]),
        (["--steps", "\x1b[2J"], ["write it as"]),
        (["--regex", "(a"], ["--regex", "'(a'", "unterminated subpattern at character 1"]),
        (["--regex", "\x1b[2J"], ["cannot be read"]),
        (["--limit", "-1"], ["--limit -1", "0 for all"]),
        (["--limit", "many"], ["--limit", "'many'"]),
        (["--right", "--wrong"], ["--wrong", "not allowed with"]),
        (["one", "two"], ["unrecognized arguments: two"]),
        (["--rigth"], ["unrecognized arguments: --rigth"]),
    ],
)
def test_a_wrong_request_is_one_line_that_says_what_would_be_right(
    find: Call, demo: Layout, words: list[str], says: list[str]
) -> None:
    status, out, err = find("demo", *words)
    assert (status, out) == (2, "") and err.startswith("rlpeaks") and err.count("\n") == 1 and is_safe(err)
    for part in says:
        assert part in err


def test_a_run_that_is_not_there(find: Call, demo: Layout) -> None:
    status, out, err = find("nowhere", "x")
    assert (status, out) == (2, "") and "no run 'nowhere'" in err and "demo" in err
    assert find()[0] == 2


bounds = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6)).map(str)


@given(bounds, bounds)
def test_a_range_has_both_ends_and_either_may_be_open(a: str, b: str) -> None:
    low, high = sorted((a, b), key=float)
    assert span("--x", f"{low}..{high}") == (float(low), float(high))
    assert span("--x", f"{low}..") == (float(low), float("inf"))
    assert span("--x", f"..{high}") == (float("-inf"), float(high))
    assert span("--x", low) == (float(low), float(low))
    assert span("--x", None) is None
    if float(low) < float(high):
        with pytest.raises(ValueError, match="lowest first"):
            span("--x", f"{high}..{low}")


def test_a_hostile_completion_neither_steers_the_terminal_nor_passes_for_another_one(find: Call, runs: Path) -> None:
    layout = finished_run(runs / "demo")
    writer = RolloutWriter(layout.rollouts)
    for step, word in enumerate(NASTY):
        fake = f"{word}\nstep 9  task add  reward 1\nprompt      none{word}"
        more = {"phase": word, "task": [word] * 4, "format": [word] * 4, "rewards": {word: [1.0] * 4}}
        traces = [TokenBlock(index=0, pieces=[word, fake], logp=b"12345678")]
        writer.append(block(step, prompts=[fake, word], completions=[fake] * 4, tokens=traces, **more))
    for more_words in ([], ["--json"], ["--tokens"], ["--json", "--tokens"], ["--task", "\x1b[2J"], ["\x1b[2J"]):
        status, out, err = find("demo", "--limit", "0", *more_words)
        assert status == 0 and is_safe(out) and is_safe(err)
    _, out, _ = find("demo", "--limit", "0")
    heads = [line for line in out.splitlines() if line and not line.startswith(" ")]
    count = 4 * len(NASTY)
    assert [line.split()[0] for line in heads] == ["step", "prompt", "completion"] * count
    assert "step 9  task add  reward 1" not in heads


letters = st.text(st.sampled_from("ab \n\tzé数学的e\u0301"), max_size=300)


@given(letters, letters, st.integers(40, 90))
def test_no_line_is_wider_than_the_terminal_and_no_letter_is_lost(prompt: str, completion: str, width: int) -> None:
    with_texts = block(1, prompts=[prompt], group=[0], completions=[completion], rewards={}, reward=[0.0])
    one = {name: getattr(with_texts, name)[:1] for name in ("advantage", "length", "truncated", "task", "format")}
    single = msgspec.structs.replace(with_texts, **one, correct=[], logp=[])
    lines = list(paragraph(stored(single), 0, width))
    assert all(wcswidth(line) <= width for line in lines)
    texts = lines[[line[:6] for line in lines].index("prompt") :]
    said = "".join("".join(line[12:] for line in texts).split())
    assert said == "".join((prompt + completion).split())


def stored(one: Block) -> Any:
    with tempfile.TemporaryDirectory() as name:
        RolloutWriter(Path(name)).append(one)
        reader = RolloutReader(Path(name))
        reader.refresh()
        return reader.read(0)


def test_a_reader_that_leaves_is_no_error(runs: Path) -> None:
    layout = finished_run(runs / "demo")
    writer = RolloutWriter(layout.rollouts)
    for step in range(300):
        writer.append(block(step, completions=["a long answer " * 100] * 4))
    program = f"{shlex.quote(sys.executable)} -m rlpeaks_tui.cli find demo --limit 0 | head -1"
    done = subprocess.run(
        ["bash", "-c", f"{program}; echo ${{PIPESTATUS[@]}}"],
        env={**os.environ, "RLPEAKS_RUNS": str(runs)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "" and done.stdout.splitlines()[1:] == ["0 0"]


# The bound


def noise(step: int) -> Block:
    """A generation of about 50 kB on disk, which says its step."""
    hexadecimal = np.random.default_rng(step).bytes(50_000).hex()
    return block(step, completions=[f"number {step}", hexadecimal, "", ""])


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize(
    ("config", "bounded"),
    [
        ({"probes": {"rollouts_mb": 1}}, True),
        ({"probes": {"rollouts_mb": 0}}, False),
        # Where nothing usable is said the default holds, which is far off here.
        ({}, False),
        ({"probes": {"rollouts_mb": -1}}, False),
        ({"probes": {"rollouts_mb": "1"}}, False),
        ({"probes": [1]}, False),
        ({"probes": None}, False),
    ],
)
def test_the_setting_reaches_what_is_written(runs: Path, config: dict[str, Any], bounded: bool) -> None:
    layout = new_run(runs / "demo", config=config)
    recorder = Recorder(layout.root)
    sizes = []
    for step in range(30):
        recorder.rollouts(noise(step))
        sizes.append(size(layout.rollouts))
    recorder.close()
    assert recorder.lost == 0
    assert (max(sizes) <= 1_000_000) == bounded and (sizes[-1] > 1_200_000) != bounded


def test_a_recorder_needs_no_readable_run_file(runs: Path) -> None:
    layout = new_run(runs / "demo")
    for damage in (layout.facts.unlink, lambda: layout.facts.write_text("{")):
        damage()
        recorder = Recorder(layout.root)
        recorder.rollouts(noise(1))
        recorder.close()
    assert size(layout.rollouts) > 50_000


def test_the_default_is_two_gigabytes_whoever_starts_the_run(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    limits: list[int | None] = []

    class Watched(RolloutWriter):
        def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
            limits.append(limit_bytes)
            super().__init__(folder, limit_bytes)

    monkeypatch.setattr("rlpeaks_tui.instrument.recorder.RolloutWriter", Watched)
    for number, config in enumerate(({}, {"grpo": {"beta": 0.0}}, {"probes": {}}, {"probes": {"rollouts_mb": 0}})):
        Recorder(new_run(runs / str(number), config=config).root).close()
    assert limits == [2_000_000_000] * 3 + [None]


TRAINS = """
import sys
from pathlib import Path
from rlpeaks_tui.instrument.recorder import Recorder
from tests.test_find import noise
recorder = Recorder(Path(sys.argv[-1]))
recorder.state("running")
for step in range(1, 31):
    recorder.step = step
    recorder.rollouts(noise(step))
recorder.state("finished")
recorder.close()
"""


def test_a_run_keeps_within_its_bound_and_what_is_left_is_found(tmp_path: Path, runs: Path, find: Call) -> None:
    launch = tmp_path / "fake" / "accelerate" / "commands" / "launch.py"
    launch.parent.mkdir(parents=True)
    (launch.parent / "__init__.py").touch()
    (launch.parent.parent / "__init__.py").touch()
    launch.write_text(TRAINS)
    sample = yaml.safe_load((Path(cli.__file__).parent.parent / "sample_configs" / "quickstart.yaml").read_text())
    sample["probes"]["rollouts_mb"] = 1
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(sample))
    path = os.pathsep.join([str(launch.parent.parent.parent), str(Path(__file__).parent.parent)])
    done = subprocess.run(
        [sys.executable, "-m", "rlpeaks_tui.cli", "run", str(tmp_path / "small.yaml"), "--headless"],
        env={**os.environ, "RLPEAKS_RUNS": str(runs), "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert size(runs / "small" / "rollouts") <= 1_000_000
    status, out, err = find("small", "number", "--json", "--limit", "0")
    steps = [json.loads(line)["step"] for line in out.splitlines()]
    assert status == 0 and steps == list(range(30, 30 - len(steps), -1)) and 10 < len(steps) < 20
    assert f"{len(steps)} of {len(steps)} generations read; {30 - len(steps)} older ones not kept any more" in err
