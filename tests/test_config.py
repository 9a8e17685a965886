"""The run file at the door: what cannot be used is one line that says where, what, and what would be right."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlpeaks_tui import bundle, cli, config, yaml_lines
from rlpeaks_tui.config import ConfigError, RunFile, load, load_script
from rlpeaks_tui.config_checks import REWARD_NAMES, TASK_NAMES
from rlpeaks_tui.trl_fields import grpo_fields

GOOD = """\
model: tiny_arith
seed: 7
phases:
  - name: easy
    tasks: {two_operands: 1}
    steps: 5
  - name: hard
    tasks:
      two_operands: 1
      three_operands: 2
rewards:
  correct: 1.0
grpo:
  max_steps: 10
  learning_rate: 1e-3
  per_device_train_batch_size: 16
  num_generations: 8
accelerate:
  cpu: true
  mixed_precision: no
probes:
  budget: 0.1
"""


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What `rlpeaks run` says to a run file that it must turn down: one line, status 2, and nothing left behind."""
    monkeypatch.setattr("rlpeaks_tui.verbs.start.start", lambda directory: pytest.fail(f"started {directory}"))

    def run(content: str | bytes | None, *options: str, target: str = "") -> str:
        path = tmp_path / "bad.yaml"
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        runs = tmp_path / "runs"
        # What stands after a script's name is the script's.
        status = cli.main(["run", "--headless", "--runs", str(runs), *options, target or str(path)])
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert err.startswith("rlpeaks: ") and err.endswith("\n") and err.count("\n") == 1
        assert "Traceback" not in err and "\x1b" not in err
        assert not runs.exists() or list(runs.iterdir()) == []
        return err.removeprefix("rlpeaks: ").replace(str(path), "bad.yaml")

    return run


def loaded(tmp_path: Path, content: str, *options: str) -> RunFile:
    path = tmp_path / "good.yaml"
    path.write_text(content)
    return load(str(path), list(options))[0]


def test_a_good_file_is_what_it_says(tmp_path: Path) -> None:
    run = loaded(tmp_path, GOOD)
    assert (run.model, run.seed, [p.name for p in run.phases]) == ("tiny_arith", 7, ["easy", "hard"])
    assert run.phases[1].tasks == {"two_operands": 1.0, "three_operands": 2.0} and run.phases[1].steps is None
    assert run.grpo["learning_rate"] == 1e-3
    assert (run.accelerate.mixed_precision, run.accelerate.cpu, run.probes.budget) == ("no", True, 0.1)


def test_the_samples_are_good() -> None:
    assert "quickstart" in bundle.samples()
    for name in bundle.samples():
        try:
            assert load(name, [])[0].phases
        except ConfigError as error:
            # The one thing that a good sample may lack is a model that is prepared on demand.
            assert "make smollm2" in str(error)


def test_names_of_tasks_and_rewards_are_those_of_the_trainers() -> None:
    from trainers.rewards import REWARDS
    from trainers.tasks import TASKS

    assert set(TASK_NAMES) == set(TASKS)
    assert set(REWARD_NAMES) == set(REWARDS)


def test_what_ends_a_phase_and_what_it_sets(tmp_path: Path) -> None:
    more = """\
    settings: {temperature: 1, learning_rate: 2e-4, max_completion_length: 16}
    until: {reward: {at_least: 0.5, for: 20}, entropy_below: 0.1}
"""
    run = loaded(
        tmp_path, GOOD.replace("    steps: 5\n", more), "phases.1.settings.beta=0.1", "phases.1.until.hand=true"
    )
    easy, hard = run.phases
    assert easy.settings == {"temperature": 1.0, "learning_rate": 2e-4, "max_completion_length": 16.0}
    assert easy.steps is None
    assert easy.ends() == ["reward of at least 0.5 over 20 steps", "entropy below 0.1 over 10 steps"]
    assert hard.settings == {"beta": 0.1} and hard.until.hand and hard.ends() == []
    # As it lies in run.json, and comes back to the training process.
    plain = json.loads(json.dumps(msgspec.to_builtins(run)))
    assert plain["phases"][0]["until"]["reward"] == {"at_least": 0.5, "for": 20}
    assert msgspec.convert(plain, RunFile) == run


def put(line: int, text: str) -> str:
    """The good file with one line replaced."""
    lines = GOOD.splitlines()
    lines[line - 1] = text
    return "\n".join(lines) + "\n"


def phase(text: str) -> str:
    """The good file with something else in place of the number of steps of its first phase."""
    return put(6, text)


DEEP = "x: " + "[" * 1000 + "]" * 1000
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)

BAD: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "not YAML": ("model: [tiny\nseed: 7\n", ("bad.yaml:2: ", "expected ',' or ']'")),
    "tab": ("model: x\n\tseed: 1\n", ("bad.yaml:2: ",)),
    "control character": ("model: x\nname: a\x07\n", ("bad.yaml:2: ", "U+0007")),
    "two documents": (GOOD + "---\nmodel: x\n", ("bad.yaml:23: ",)),
    "tag": ("model: !!python/object/apply:os.system [ls]\n", ("bad.yaml:1: ", "not understood")),
    "bad tag": ("model: x\nseed: !!int abc\n", ("bad.yaml:2: ", "'!!int'")),
    "undefined alias": ("model: *x\n", ("bad.yaml:1: ", "'x'")),
    "key twice": (GOOD + "seed: 8\n", ("bad.yaml:23: ", "seed is there already, in line 2")),
    "key that is a list": ("? [a]\n: b\n", ("bad.yaml:1: ",)),
    "alias bomb": (BOMB, ("bad.yaml:", "more than 10000 values")),
    "alias in itself": ("model: &a [*a]\n", ("bad.yaml:1: ", "nested too deeply")),
    "deep": (DEEP, ("bad.yaml: ", "nested too deeply")),
    "a bit deep": ("x: " + "[" * 30 + "]" * 30, ("bad.yaml:1: ", "nested too deeply")),
    "empty": ("", ("bad.yaml: ", "model:")),
    "a list": ("- model: x\n", ("bad.yaml: ", "model:")),
    "a word": ("tiny_arith", ("bad.yaml: ", "model:")),
    "no text": (b"\xff\xfe\x00m", ("bad.yaml: ", "UTF-8")),
    "enormous": (b"#" * (2 << 20), ("bad.yaml: ", "larger than 1 MB")),
    "unknown key": (put(2, "sede: 7"), ("bad.yaml:2: ", "'sede'", "did you mean 'seed'")),
    "unknown key, nothing near": (put(2, "zzzzz: 7"), ("bad.yaml:2: ", "'zzzzz'", "valid here: model, name, ")),
    "unknown key in a phase": (put(6, "    stepz: 5"), ("bad.yaml:6: ", "'phases.0.stepz'", "did you mean 'steps'")),
    "unknown key in probes": (put(22, "  budgte: 5"), ("bad.yaml:22: ", "'probes.budgte'", "did you mean 'budget'")),
    "unknown key in accelerate": (put(19, "  gpu: true"), ("bad.yaml:19: ", "'accelerate.gpu'", "did you mean 'cpu'")),
    "unknown key in grpo": (put(15, "  learning_rte: 1"), ("bad.yaml:15: ", "grpo.learning_rte", "'learning_rate'")),
    "unknown task": (put(9, "      two_operandz: 1"), ("bad.yaml:9: ", "two_operandz", "'two_operands'")),
    "unknown task, nothing near": (put(9, "      zzz: 1"), ("bad.yaml:9: ", "zzz", "times_digit")),
    "unknown reward": (put(12, "  corect: 1"), ("bad.yaml:12: ", "rewards.corect", "'correct'")),
    "text for a number": (put(2, "seed: seven"), ("bad.yaml:2: ", "seed: expected a whole number, got 'seven'")),
    "fraction for a whole number": (
        put(6, "    steps: 2.5"),
        ("bad.yaml:6: ", "phases.0.steps", "a whole number or nothing, got 2.5"),
    ),
    "number for text": (put(1, "model: 3"), ("bad.yaml:1: ", "model: expected text, got 3")),
    "truth for text": (put(1, "model: true"), ("bad.yaml:1: ", "model: expected text, got true")),
    "text for a weight": (
        put(12, "  correct: much"),
        ("bad.yaml:12: ", "rewards.correct: expected a number, got 'much'"),
    ),
    "nothing for a weight": (
        put(9, "      two_operands:"),
        ("bad.yaml:9: ", "phases.1.tasks.two_operands", "got nothing"),
    ),
    "list for a section": (
        put(22, "  [1]"),
        ("bad.yaml:21: ", "probes", "a section of `key: value` lines, got a list"),
    ),
    "section for a list": (put(3, "phases: {}\nx:"), ("bad.yaml:3: ", "phases: expected a list, got a section")),
    "word beyond a choice": (put(20, "  mixed_precision: fp8"), ("bad.yaml:20: ", "one of no, fp16, bf16, got 'fp8'")),
    "truth for a choice": (put(20, "  mixed_precision: false"), ("bad.yaml:20: ", "one of no, fp16, bf16, got false")),
    "dtype": (put(2, "dtype: int8"), ("bad.yaml:2: ", "one of float32, bfloat16, float16, got 'int8'")),
    "yes for true": (put(19, "  cpu: yes"), ("bad.yaml:19: ", "true or false", "got 'yes'")),
    "date": (put(2, "seed: 2001-13-45"), ("bad.yaml:2: ", "a whole number, got '2001-13-45'")),
    "a number of 5000 digits": (put(2, "seed: " + "9" * 5000), ("bad.yaml:2: ", "a whole number")),
    "TRL type": (
        put(15, "  learning_rate: fast"),
        ("bad.yaml:15: ", "grpo.learning_rate: expected a number, got 'fast'"),
    ),
    "TRL list": (
        put(15, "  learning_rate: [1]"),
        ("bad.yaml:15: ", "grpo.learning_rate: expected a number, got a list"),
    ),
    "TRL nothing": (put(14, "  max_steps:"), ("bad.yaml:14: ", "grpo.max_steps: expected a whole number, got nothing")),
    "missing model": (
        GOOD.replace("model: tiny_arith\n", ""),
        ("bad.yaml: ", "'model' is missing", "add `model: ...`"),
    ),
    "missing name": (put(4, "  - tasks2: 1"), ("bad.yaml:4: ",)),
    "missing tasks": (put(5, ""), ("bad.yaml:4: ", "'phases.0.tasks' is missing")),
    "missing steps": (put(6, ""), ("bad.yaml:4: ", "phases.0.steps", "every phase but the last")),
    "no phases": ("model: tiny_arith\n", ("bad.yaml: ", "phases", "at least one phase")),
    "no tasks": (put(5, "    tasks: {}"), ("bad.yaml:5: ", "phases.0.tasks", "weights above 0")),
    "weight of zero": (put(5, "    tasks: {two_operands: 0}"), ("bad.yaml:5: ", "weights above 0")),
    "weight that is no number": (put(12, "  correct: .nan"), ("bad.yaml:12: ", "rewards.correct", "finite")),
    "no rewards": (put(12, "  {}"), ("bad.yaml:11: ", "rewards", "correct, calibrated")),
    "steps of zero": (put(6, "    steps: 0"), ("bad.yaml:6: ", "phases.0.steps", "at least 1")),
    "phase without a name": (put(4, "  - name: ''"), ("bad.yaml:4: ", "phases.0.name")),
    "phase names twice": (put(7, "  - name: easy"), ("bad.yaml:7: ", "phases.1.name", "of its own")),
    "phase name with an escape": (put(4, '  - name: "\\e[2J"'), ("bad.yaml:4: ", "phases.0.name")),
    "task name with a newline": (put(9, '      "a\\nb": 1'), ("bad.yaml:9: ", "no such task")),
    "key with an escape": (put(2, '"\\e]0;x\\a": 7'), ("bad.yaml:2: ", "unknown key")),
    "seed below zero": (put(2, "seed: -1"), ("bad.yaml:2: ", "seed", "between 0 and 4294967295")),
    "seed too large": (put(2, "seed: 4294967296"), ("bad.yaml:2: ", "seed")),
    "learning rate": (put(15, "  learning_rate: 1.0e+20"), ("bad.yaml:15: ", "between 1e-12 and 1; got 1e+20")),
    "weight out of bounds": (put(12, "  correct: 1.0e+4"), ("bad.yaml:12: ", "rewards.correct", "-1000 and 1,000")),
    "budget": (put(22, "  budget: 1.5"), ("bad.yaml:22: ", "probes.budget", "between 0 and 1")),
    "budget that is no number": (put(22, "  budget: .nan"), ("bad.yaml:22: ", "probes.budget")),
    "probe interval": (put(22, "  sparsity: 0"), ("bad.yaml:22: ", "probes.sparsity", "at least 1")),
    "bound on completions": (
        put(22, "  rollouts_mb: -1"),
        ("bad.yaml:22: ", "probes.rollouts_mb", "at least 1", "or 0"),
    ),
    "bound that is no whole number": (
        put(22, "  rollouts_mb: 0.5"),
        ("bad.yaml:22: ", "probes.rollouts_mb: expected a whole number, got 0.5"),
    ),
    "processes": (put(19, "  num_processes: 0"), ("bad.yaml:19: ", "accelerate.num_processes", "at least 1")),
    "threads": (put(19, "  threads: 0"), ("bad.yaml:19: ", "accelerate.threads", "at least 1")),
    "config file": (
        put(19, "  config_file: nowhere.yaml"),
        ("bad.yaml:19: ", "accelerate.config_file", "'nowhere.yaml'"),
    ),
    "name": (put(2, "name: a/b"), ("bad.yaml:2: ", "name", "letters, digits")),
    "model folder that is not there": (put(1, "model: ./nowhere"), ("bad.yaml:1: ", "no folder './nowhere'")),
    "model that is no id": (put(1, "model: a b"), ("bad.yaml:1: ", "tiny_arith", "org/name")),
    "model of 3000 letters": (put(1, "model: " + "a" * 3000), ("bad.yaml:1: ", "org/name")),
    "model folder without a model": (put(1, "model: /"), ("bad.yaml:1: ", "config.json")),
    "batch": (
        put(17, "  num_generations: 7"),
        ("bad.yaml:17: ", "grpo.num_generations", "16 completions", "groups of 7"),
    ),
    "group of one": (put(17, "  num_generations: 1"), ("bad.yaml:17: ", "grpo.num_generations", "at least 2; got 1")),
    "group of nothing": (put(17, "  num_generations: null"), ("bad.yaml:17: ", "grpo.num_generations", "at least 2")),
    "batch of zero": (put(16, "  per_device_train_batch_size: 0"), ("bad.yaml:16: ", "at least 1; got 0")),
    "no steps": (put(14, "  max_steps: 0"), ("bad.yaml:14: ", "grpo.max_steps", "at least 1")),
    "endless": (put(14, "  max_steps: -1"), ("bad.yaml:14: ", "grpo.max_steps", "at least 1")),
    "setting that no phase has": (
        phase("    settings: {temperatur: 1}"),
        ("bad.yaml:6: ", "phases.0.settings.temperatur: ", "temperature, beta, learning_rate"),
    ),
    "setting that is no number": (
        phase("    settings: {beta: much}"),
        ("bad.yaml:6: ", "phases.0.settings.beta: expected a number, got 'much'"),
    ),
    "settings that are none": (phase("    settings: 3"), ("bad.yaml:6: ", "phases.0.settings: expected a section")),
    "cold": (
        phase("    settings:\n      beta: 0.1\n      temperature: 0"),
        ("bad.yaml:8: ", "phases.0.settings.temperature: must lie between 0.01 and 10; got 0"),
    ),
    "setting beyond all numbers": (phase("    settings: {beta: .inf}"), ("bad.yaml:6: ", "settings.beta", "got inf")),
    "setting that is not a number": (phase("    settings: {beta: .nan}"), ("bad.yaml:6: ", "settings.beta", "got nan")),
    "half a token": (
        phase("    settings: {max_completion_length: 8.5}"),
        ("bad.yaml:6: ", "phases.0.settings.max_completion_length: expected a whole number of tokens, got 8.5"),
    ),
    "length with nothing to go back to": (
        phase("    settings: {max_completion_length: 8}\n    steps: 5").replace(
            "grpo:\n", "grpo:\n  max_completion_length: null\n"
        ),
        ("bad.yaml:6: ", "phases.0.settings.max_completion_length: needs a number at grpo.max_completion_length"),
    ),
    "rule that there is not": (
        phase("    until: {entropy: 1}"),
        ("bad.yaml:6: ", "unknown key 'phases.0.until.entropy'", "did you mean 'entropy_below'"),
    ),
    "reward without steps": (
        phase("    until: {reward: {at_least: 1}}"),
        ("bad.yaml:6: ", "'phases.0.until.reward.for' is missing"),
    ),
    "reward by another name": (
        phase("    until: {reward: {atleast: 1, for: 2}}"),
        ("bad.yaml:6: ", "'phases.0.until.reward.atleast'", "did you mean 'at_least'"),
    ),
    "reward by quite another name": (
        phase("    until: {reward: {zzz: 1, for: 2}}"),
        ("bad.yaml:6: ", "'phases.0.until.reward.zzz'", "valid here: at_least, for"),
    ),
    "reward over half a step": (
        phase("    until: {reward: {at_least: 1, for: 0.5}}"),
        ("bad.yaml:6: ", "phases.0.until.reward.for: expected a whole number, got 0.5"),
    ),
    "reward over no step": (
        phase("    until: {reward: {at_least: 1, for: 0}}"),
        ("bad.yaml:6: ", "phases.0.until.reward.for: must be at least 1"),
    ),
    "reward without end": (
        phase("    until: {reward: {at_least: .inf, for: 1}}"),
        ("bad.yaml:6: ", "phases.0.until.reward.at_least: ", "finite"),
    ),
    "entropy below nothing": (
        phase("    until: {entropy_below: 0}"),
        ("bad.yaml:6: ", "phases.0.until.entropy_below: ", "above 0"),
    ),
    "by hand and not": (
        phase("    until: {hand: true}\n    steps: 5"),
        ("bad.yaml:6: ", "phases.0.until.hand: ", "only a command", "5 steps"),
    ),
    "no end": (
        phase("    until: {hand: false}"),
        ("bad.yaml:4: ", "phases.0.steps: ", "needs an end", "reward: {at_least: X, for: N}", "hand: true"),
    ),
    "phase with the name of a command": (
        put(4, "  - name: next"),
        ("bad.yaml:4: ", "phases.0.name: 'next' already means something", "another name"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_with_place_key_and_remedy(refused: Callable[..., str], case: str) -> None:
    content, says = BAD[case]
    told = refused(content)
    assert told.startswith(says[0]), told
    for words in says:
        assert words in told


def test_files_that_are_not_there_or_no_files(refused: Callable[..., str], tmp_path: Path) -> None:
    told = refused(None, target="quickstrat")
    assert "quickstrat" in told and "did you mean 'quickstart'" in told
    assert "samples are: " in refused(None, target=str(tmp_path / "nowhere.yaml"))
    assert "Is a directory" in refused(None, target=str(tmp_path))
    assert "File name too long" in refused(None, target="x" * 3000)
    assert "cannot be read" in refused(None, target="/proc/self/mem")


SETTINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no equals": (("seed",), ("--set seed", "key=value")),
    "no key": (("=3",), ("key=value",)),
    "hole in the key": (("grpo..max_steps=3",), ("key=value",)),
    "unknown": (("grpo.max_stepz=3",), ("--set: ", "max_stepz", "'max_steps'")),
    "unknown section": (("grop.max_steps=3",), ("--set: ", "unknown key 'grop'", "'grpo'")),
    "wrong type": (("grpo.max_steps=many",), ("--set: ", "grpo.max_steps: expected a whole number, got 'many'")),
    "into a value": (("model.x=3",), ("model is not a section",)),
    "beyond a list": (("phases.2.steps=3",), ("phases has 2 entries", "'2' is none")),
    "far beyond a list": (("phases.99999999999999999999.steps=3",), ("phases has 2 entries",)),
    "below a list": (("phases.-1.steps=3",), ("phases has 2 entries",)),
    "name into a list": (("phases.easy.steps=3",), ("phases has 2 entries", "'easy' is none")),
    "list entry of the wrong kind": (("phases.0=3",), ("--set: ", "phases.0", "a section")),
    "whole section of the wrong kind": (("probes={budget: 3}",), ("--set: ", "probes.budget", "between 0 and 1")),
    "nothing": (("model=",), ("--set: ", "model: expected text, got nothing")),
    "newline": (("model=a\nb",), ("model",)),
    "escape": (("model=\x1b[2J",), ("model",)),
    "half a character": (("model=\udcff",), ("model",)),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_bad_setting_is_one_line_that_says_set(refused: Callable[..., str], case: str) -> None:
    values, says = SETTINGS[case]
    told = refused(GOOD, *[word for value in values for word in ("--set", value)])
    for words in says:
        assert words in told, told


def test_settings_are_read_as_the_file_is(tmp_path: Path) -> None:
    run = loaded(
        tmp_path,
        GOOD,
        "phases.0.steps=3",
        "phases.1.tasks.times_digit=2.5",
        "grpo.learning_rate=1e-3",
        "grpo.lr_scheduler_kwargs={num_cycles: 2}",
        "accelerate.mixed_precision=no",
        "accelerate.threads=2",
        "rewards.calibrated=0.5",
        "name=a=b".replace("=b", "-b"),
        " seed =9",
        "grpo.beta=0.0",
    )
    assert run.phases[0].steps == 3 and run.phases[1].tasks["times_digit"] == 2.5
    assert run.grpo["learning_rate"] == 0.001 and run.grpo["lr_scheduler_kwargs"] == {"num_cycles": 2}
    assert (run.accelerate.mixed_precision, run.accelerate.threads) == ("no", 2)
    assert (run.rewards, run.name, run.seed) == ({"correct": 1.0, "calibrated": 0.5}, "a-b", 9)


def test_a_setting_reaches_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
    content = GOOD[: GOOD.index("grpo:")] + "grpo:\nprobes:\n"
    run = loaded(tmp_path, content, "grpo.max_steps=3", "probes.kl=4")
    assert run.grpo == {"max_steps": 3} and run.probes.kl == 4


def test_a_setting_in_one_phase_leaves_others_that_share_its_tasks_alone(tmp_path: Path) -> None:
    content = "model: tiny_arith\nphases:\n- {name: a, steps: 1, tasks: &t {two_operands: 1}}\n- {name: b, tasks: *t}\n"
    run = loaded(tmp_path, content, "phases.0.tasks.times_digit=1")
    assert run.phases[0].tasks == {"two_operands": 1, "times_digit": 1} and run.phases[1].tasks == {"two_operands": 1}


def test_runs_folders_that_cannot_be_written(refused: Callable[..., str], tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("keep")
    # The last --runs counts.
    assert "File exists" in refused(GOOD, "--runs", str(in_the_way))
    assert "Not a directory" in refused(GOOD, "--runs", str(in_the_way / "deeper"))
    assert "cannot be a folder of runs" in refused(GOOD, "--runs", "/proc/rlpeaks")
    assert in_the_way.read_text() == "keep"


@pytest.mark.parametrize("name", ["a/b", "..", "-x", ".x", "a b", "x" * 101, "caf\u00e9", "a\n"])
def test_a_name_that_no_run_can_have(refused: Callable[..., str], name: str) -> None:
    assert "letters, digits" in refused(GOOD, f"--name={name}")
    assert "letters, digits" in refused(put(2, f"name: {json.dumps(name)}"))


def test_a_name_that_is_taken(refused: Callable[..., str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "mine").mkdir(parents=True)
    (other / "mine" / "keep").touch()
    told = refused(GOOD, "--runs", str(other), "--name", "mine")
    assert "mine is there already" in told and "--name" in told
    assert (other / "mine" / "keep").exists()


# TRL itself, as the judge of batches.

SIZES = {
    "per_device_train_batch_size": st.sampled_from([1, 2, 3, 4, 8]),
    "gradient_accumulation_steps": st.sampled_from([1, 2, 3]),
    "steps_per_generation": st.sampled_from([1, 2, 4, None]),
    "generation_batch_size": st.sampled_from([4, 8, 12, 16, 24, None]),
    "num_generations": st.sampled_from([1, 2, 3, 4, 8]),
}


@pytest.fixture(scope="module")
def grpo_config() -> Any:
    from trl import GRPOConfig

    return GRPOConfig


def judged(tmp_path: Path, numbers: dict[str, int | None]) -> str:
    """Why our check refuses these numbers, or nothing."""
    tree = {"model": "tiny_arith", "phases": [{"name": "a", "tasks": {"two_operands": 1}}], "grpo": numbers}
    try:
        loaded(tmp_path, yaml.safe_dump(tree))
    except ConfigError as error:
        return str(error)
    return ""


def by_trl(grpo_config: Any, tmp_path: Path, numbers: dict[str, int | None]) -> bool:
    try:
        grpo_config(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], **numbers)
    except (ValueError, TypeError, ZeroDivisionError):
        return True
    return False


@given(st.fixed_dictionaries({}, optional=SIZES))
@example({})
@example({"generation_batch_size": 16, "steps_per_generation": 2})
@example({"generation_batch_size": 12, "per_device_train_batch_size": 8, "num_generations": 4})
@example({"gradient_accumulation_steps": 4, "per_device_train_batch_size": 2, "num_generations": 8})
@settings(max_examples=150)
def test_batches_are_refused_exactly_where_trl_refuses_them(
    grpo_config: Any, tmp_path: Path, numbers: dict[str, int | None]
) -> None:
    why = judged(tmp_path, numbers)
    assert bool(why) == by_trl(grpo_config, tmp_path, numbers), why
    assert not why or "grpo." in why


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SIZES, st.sampled_from([-8, -1, 0, 8, None]))))
@settings(max_examples=60)
def test_numbers_that_mean_nothing_are_refused_also_where_trl_forgets_to(
    grpo_config: Any, tmp_path: Path, numbers: dict[str, int | None]
) -> None:
    why = judged(tmp_path, numbers)
    if any(value is not None and value < 1 for value in numbers.values()) or by_trl(grpo_config, tmp_path, numbers):
        assert why


def test_fields_of_trl_are_read_from_its_source_as_python_reads_them(grpo_config: Any) -> None:
    fields = grpo_fields()
    real = {field.name: field for field in dataclasses.fields(grpo_config)}
    assert set(fields) == set(real)
    for name, field in real.items():
        default = field.default if field.default is not dataclasses.MISSING else None
        if isinstance(default, int | float | str | bool) and not hasattr(default, "value"):
            assert fields[name].takes(default), name
    plain = [name for name, field in fields.items() if field.types]
    assert len(plain) > 100
    assert fields["learning_rate"].takes(1) and not fields["learning_rate"].takes("1")
    assert not fields["max_steps"].takes(1.5) and not fields["max_steps"].takes(True)
    assert fields["generation_batch_size"].takes(None) and not fields["max_steps"].takes(None)


# YAML

words = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp"]), min_size=1, max_size=5)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    words,
    st.sampled_from(
        ["no", "yes", "on", "1e-3", "2001-01-01", "null", "~", "0x10", "1_0", "12:30", ".5", "=", "<<", "- a", "#"]
    ),
)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(keys, x, max_size=5)), max_leaves=12
    )


@given(st.dictionaries(words, nested(scalars, words), min_size=1, max_size=4))
@settings(max_examples=60)
def test_json_is_read_as_json(tree: dict[str, Any]) -> None:
    assert yaml_lines.read(json.dumps(tree, ensure_ascii=False))[0] == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1e-3", 1e-3), ("1E5", 1e5), ("3.0e-4", 3e-4), ("-.5", -0.5), ("1.", 1.0), ("010", 10), ("1_000", 1000)],
        *[("no", "no"), ("off", "off"), ("True", True), ("FALSE", False), ("Null", None), ("~", None), ("", None)],
        *[("\'1\'", "1"), ('"no"', "no")],
        *[("2001-01-01", "2001-01-01"), ("1:30", "1:30"), ("-.inf", float("-inf")), ("e3", "e3")],
    ],
)  # fmt: skip
def test_plain_words_are_read_as_yaml_1_2_reads_them(text: str, value: Any) -> None:
    found = yaml_lines.read(f"key: {text}\n")[0]["key"]
    assert found == value and type(found) is type(value)


@given(st.one_of(st.text(max_size=60), st.text(alphabet="a1:- \n[]{}&*!|>'\"#%@?,.~", max_size=40)))
@settings(max_examples=300)
def test_any_text_is_a_value_or_unreadable_with_one_line(text: str) -> None:
    try:
        value, lines = yaml_lines.read(text)
    except yaml_lines.Unreadable as problem:
        assert str(problem) and "\n" not in str(problem)
        assert problem.line is None or 1 <= problem.line <= len(text.splitlines()) + 1
        return
    assert all(1 <= line <= text.count("\n") + text.count("\r") + text.count("\x85") + 2 for line in lines.values())
    assert isinstance(value, dict | list | str | int | float | None)


KINDS = (RunFile, config.Phase, config.Probes, config.Accelerate)
KEYS = [field.name for kind in KINDS for field in msgspec.structs.fields(kind)]
KEYS += ["max_steps", "num_generations", "two_operands", "correct"]


@given(nested(st.one_of(scalars, st.just("tiny_arith")), st.sampled_from(KEYS)))
@settings(max_examples=100)
def test_any_tree_is_a_run_file_or_an_error_of_one_line(tmp_path: Path, tree: Any) -> None:
    start = {"model": "tiny_arith", "phases": [{"name": "a", "tasks": {"two_operands": 1}}]}
    try:
        loaded(tmp_path, yaml.safe_dump({**start, **tree} if isinstance(tree, dict) else tree, allow_unicode=True))
    except ConfigError as error:
        assert "good.yaml" in str(error)


PLACES = ["model", "phases", "phases.0", "phases.0.tasks", "phases.1.x", "grpo.a.b", "probes", "rewards.correct", "x.y"]
VALUES = ["1", "", "[]", "{}", "[1, 2]", "{a: 1}", "x", "[", "1e-3"]


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(VALUES)), max_size=4))
@settings(max_examples=80)
def test_any_settings_are_a_run_file_or_an_error_of_one_line(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    try:
        loaded(tmp_path, GOOD, *[f"{key}={value}" for key, value in pairs])
    except ConfigError as error:
        assert "--set" in str(error) and "\n" not in str(error)


# Somebody's own script


def test_a_script_is_checked_before_anything_starts(refused: Callable[..., str], tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    assert "no such script" in refused(None, target=str(script))
    script.write_text("x = 1\ny = (\n")
    assert f"{script}:2: not valid Python" in refused(None, target=str(script))
    script.write_bytes(b"\x00")
    assert "not valid Python" in refused(None, target=str(script))
    script.write_text("pass\n")
    assert "unknown key 'model'" in refused(None, "--set", "model=x", target=str(script))
    assert "did you mean 'probes'" in refused(None, "--set", "probs.kl=3", target=str(script))
    assert "probes.budget" in refused(None, "--set", "probes.budget=7", target=str(script))
    assert "accelerate.num_processes" in refused(None, "--set", "accelerate.num_processes=0", target=str(script))
    good = load_script(str(script), ["--lr", "1"], ["probes.kl=3"])
    assert (good.script, good.args, good.probes.kl) == (str(script.resolve()), ["--lr", "1"], 3)
