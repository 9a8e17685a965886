"""The curriculum of a real training: rules advance it, a person switches it, and prompts and labels keep up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from transformers import TrainerCallback
from trl import GRPOConfig

from rlpeaks_tui import config
from rlpeaks_tui.config import Probes, RunFile
from rlpeaks_tui.instrument.curriculum import Curriculum
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.instrument.watcher import Watcher
from rlpeaks_tui.launch.start import create
from rlpeaks_tui.phases import Phase
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.heldout import read_held_out
from rlpeaks_tui.run.layout import SCHEMA, Layout
from rlpeaks_tui.run.mailbox import send
from rlpeaks_tui.run.rollouts import RolloutReader, Rollouts
from trainers.grpo_training import AGAIN, MOST_ROWS, curriculum_of, make_trainer, numbered, train
from trainers.tasks import TASKS

# Small tensors on a shared machine: threads would only wait for each other.
torch.set_num_threads(1)


def looked_at(directory: Path) -> tuple[Snapshot, list[Rollouts]]:
    follower = Follower(directory)
    while follower.poll(5.0) or follower.more:
        pass
    reader = RolloutReader(directory / "rollouts")
    reader.refresh()
    read = [reader.read(i) for i in range(len(reader.index))]
    return follower.snapshot(), [block for block in read if block is not None]


def expected(seed: int, number: int, phase: Phase) -> tuple[str, str]:
    """Task and prompt of prompt `number`, from the definition."""
    rng = np.random.default_rng([seed, number])
    weights = np.array(list(phase.tasks.values()))
    task = list(phase.tasks)[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return task, str(TASKS[task].sample(rng, 1)[0].prompt)


def test_the_sample_loads_and_runs(tmp_path: Path) -> None:
    run, _ = config.load("curriculum", [])
    assert any(phase.settings for phase in run.phases) and any(phase.until.reward for phase in run.phases)
    run, source = config.load("curriculum", ["grpo.max_steps=4", "phases.0.steps=2"])
    directory = create(run, source, tmp_path, ["rlpeaks", "run", "curriculum"])
    recorder = Recorder(directory)
    train(directory, recorder)
    recorder.close()
    snapshot, _ = looked_at(directory)
    assert snapshot.step == 4 and not snapshot.errors
    assert [(p.step, p.name) for p in snapshot.phases] == [(1, run.phases[0].name), (3, run.phases[1].name)]


def test_forward_transfer_is_measured_against_the_starting_weights(tmp_path: Path) -> None:
    probes = ("budget=1", "eval=1", "routing=9", "heldout_prompts=6", "heldout_samples=2")
    run, source = config.load(
        "curriculum", ["grpo.max_steps=2", "phases.0.steps=1", *(f"probes.{probe}" for probe in probes)]
    )
    directory = create(run, source, tmp_path, ["rlpeaks", "run", "curriculum"])
    recorder = Recorder(directory)
    train(directory, recorder)
    recorder.close()
    snapshot, _ = looked_at(directory)
    held_out = read_held_out(Layout(directory))
    assert held_out is not None
    products = np.array(
        [task == "times_digit" for task in held_out.tasks]
    )  # the second phase is the first to train them
    after_first = next(seen for seen in snapshot.evaluations if seen.step == 1)
    gained = after_first.rate[products].mean() - after_first.base_rate[products].mean()
    assert snapshot.columns["transfer/fwt"].values == pytest.approx(gained)


class After(TrainerCallback):  # type: ignore[misc]
    """Does something once the watcher has seen the end of a step, each thing once, in order."""

    def __init__(self, *plan: tuple[int, Any]) -> None:
        self._plan = list(plan)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._plan and self._plan[0][0] == state.global_step:
            self._plan.pop(0)[1](state)


class Training:
    """A training in this process: four completions of each of two prompts a generation."""

    def __init__(self, folder: Path, phases: list[Phase], **grpo: Any) -> None:
        common: dict[str, Any] = {"per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 16}
        self.run = RunFile(
            model="tiny_arith", seed=5, phases=phases, grpo={**common, **grpo}, probes=Probes(budget=0.0),
            accelerate=config.Accelerate(cpu=True),
        )  # fmt: skip
        self.layout = Layout(folder / "run")
        self.layout.create()
        write_facts(self.layout, RunInfo(schema=SCHEMA, name="run", created=0.0))
        self.trainer = make_trainer(self.run, self.layout.root, lambda _: None)
        self.curriculum: Curriculum = curriculum_of(self.run, self.trainer.args)

    def train(self, *plan: tuple[int, Any]) -> tuple[Snapshot, list[Rollouts]]:
        recorder = Recorder(self.layout.root)
        self.watcher = Watcher(self.trainer, recorder, self.run.probes, curriculum=self.curriculum)
        self.trainer.add_callback(self.watcher)
        self.trainer.add_callback(After(*plan))
        self.trainer.train()
        recorder.close()
        return looked_at(self.layout.root)


TWO = [
    Phase(name="a", tasks={"two_operands": 1.0}, steps=100, settings={"temperature": 0.9, "beta": 0.01}),
    Phase(name="b", tasks={"times_digit": 1.0}, settings={"temperature": 1.1, "epsilon_high": 0.3}),
]


def test_what_is_generated_already_keeps_its_phase(tmp_path: Path) -> None:
    training = Training(tmp_path, TWO, max_steps=6, num_iterations=2)
    snapshot, generations = training.train((3, lambda _: training.curriculum.switch("b", 3)))
    # Two steps a generation: the second of the generation of step 3 comes after the switch.
    assert [(g.step, g.phase, set(g.task)) for g in generations] == [
        (1, "a", {"two_operands"}),
        (3, "a", {"two_operands"}),
        (5, "b", {"times_digit"}),
    ]
    assert [(p.step, p.name, p.why) for p in snapshot.phases] == [(1, "a", ""), (5, "b", "by hand")]


def test_settings_of_a_phase_are_put_in_force_when_it_is_entered(tmp_path: Path) -> None:
    first = msgspec.structs.replace(TWO[0], steps=2)
    training = Training(tmp_path, [first, TWO[1]], max_steps=4, beta=0.02, epsilon=0.25)
    snapshot, _ = training.train()
    names = ("temperature", "beta", "epsilon_high")
    assert [(told.step, *(told.v[name] for name in names)) for told in snapshot.settings] == [
        (0, 0.9, 0.01, 0.25),
        (2, 1.1, 0.02, 0.3),
    ]
    assert (training.trainer.temperature, training.trainer.beta) == (1.1, 0.02) and not snapshot.errors
    back = training.curriculum.switch("prev", 4)
    # An upper bound that the run leaves open is the lower one.
    assert back.settings == {"temperature": 0.9, "beta": 0.01, "epsilon_high": 0.25}


def test_an_entropy_that_is_low_enough_ends_a_phase(tmp_path: Path) -> None:
    first = msgspec.structs.replace(TWO[0], steps=None, until=config.Until(entropy_below=50.0))
    snapshot, generations = Training(tmp_path, [first, TWO[1]], max_steps=11).train()
    assert [g.phase for g in generations] == ["a"] * 10 + ["b"]
    mean = np.mean([g.entropy.sum() / g.length.sum() for g in generations[:10]])
    assert snapshot.phases[1].why == f"entropy {mean:.3g} over the last 10 steps, below 50"


def test_a_run_that_goes_back_has_its_prompts_again_and_comes_to_its_end(tmp_path: Path) -> None:
    training = Training(tmp_path, [Phase(name="a", tasks={"two_operands": 1.0, "times_digit": 1.0})], max_steps=4)

    def say(*words: str) -> Any:
        return lambda _: send(training.layout.root, *words)

    # The watcher has looked into the inbox when these are sent: they take effect a step later.
    snapshot, generations = training.train(
        (1, say("checkpoint", "early")), (3, say("rollback", "early")), (3, say("rollback", "early"))
    )
    assert {(mark.verb, mark.status) for mark in snapshot.commands} == {
        ("checkpoint", "applied"),
        ("rollback", "applied"),
    }
    assert [g.step for g in generations] == [1, 2, 3, 4, 3, 4, 3, 4]
    for block in generations:
        assert list(block.prompts) == [expected(5, (block.step - 1) * 2 + i, training.run.phases[0])[1] for i in (0, 1)]


def test_a_phase_that_began_at_the_step_gone_back_to_is_no_stage_any_more(tmp_path: Path) -> None:
    training = Training(tmp_path, TWO, max_steps=5)

    def say(*commands: list[str]) -> Any:
        return lambda _: [send(training.layout.root, *words) for words in commands]

    # Both are obeyed after step 2, the rollback after step 4.
    snapshot, generations = training.train(
        (1, say(["checkpoint", "early"], ["phase", "b"])), (3, say(["rollback", "early"]))
    )
    assert [mark.status for mark in snapshot.commands] == ["applied"] * 3
    assert [(g.step, g.phase) for g in generations[2:]] == [(3, "b"), (4, "b"), (3, "a"), (4, "a"), (5, "a")]
    stages = training.watcher._measuring._examination.stages
    assert [(stage.step, stage.name) for stage in stages] == [(0, "a")]


@pytest.mark.parametrize(
    ("settings", "generations"),
    [
        ({"max_steps": 10}, 10),
        ({"max_steps": 10, "num_iterations": 3}, 4),
        ({"max_steps": 10, "gradient_accumulation_steps": 2}, 10),
        ({"max_steps": 10, "gradient_accumulation_steps": 2, "steps_per_generation": 1}, 20),
        ({"max_steps": 10, "steps_per_generation": 4}, 3),
    ],
)
def test_there_are_rows_for_all_steps_and_for_going_back(
    tmp_path: Path, settings: dict[str, Any], generations: int
) -> None:
    def rows(**more: Any) -> tuple[int, int]:
        arguments = GRPOConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=8, num_generations=4, use_cpu=True, bf16=False,
            report_to=[], **{**settings, **more},
        )  # fmt: skip
        return len(numbered(arguments)), arguments.generation_batch_size // 4

    found, prompts = rows()
    assert found == AGAIN * generations * prompts
    # A long run has no room to go back eight times, and a very long one as many rows as it needs.
    found, prompts = rows(
        max_steps=MOST_ROWS // 4, num_iterations=1, gradient_accumulation_steps=1, steps_per_generation=1
    )
    assert found == MOST_ROWS and prompts == 2
    assert (
        rows(max_steps=MOST_ROWS, num_iterations=1, gradient_accumulation_steps=1, steps_per_generation=1)[0]
        == 2 * MOST_ROWS
    )
