"""Commands on a real training: what each changes, what it leaves, how it is undone, and how it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from rlpeaks_tui.config import Checkpoints, Probes
from rlpeaks_tui.instrument import policy
from rlpeaks_tui.run.checkpoints import whole_checkpoints
from rlpeaks_tui.run.facts import PlannedCommand, read_facts, write_facts
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.mailbox import send
from rlpeaks_tui.run.marks import CommandMark
from tests.small_trainings import read, trainer, watched

QUIET = Probes(budget=1.0, heldout_prompts=4, heldout_samples=2)
"""Probes at their usual distances: commands are what is looked at here."""


class Commander(TrainerCallback):  # type: ignore[misc]
    """Sends commands at given steps, and takes notes of the weights when a step begins and ends."""

    def __init__(self, run: Path, plan: dict[int, list[str]]) -> None:
        self._run = run
        self._plan = {step: list(words) for step, words in plan.items()}
        self.began: list[tuple[int, dict[str, torch.Tensor]]] = []
        self.ended: list[tuple[int, dict[str, torch.Tensor]]] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.began.append((int(state.global_step), weights(model)))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.ended.append((int(state.global_step), weights(model)))
        for words in self._plan.pop(int(state.global_step), []):
            verb, *rest = words.split()
            send(self._run, verb, *rest, who="tester")


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


class Steered:
    """A training steered by a plan of commands, and everything it left behind."""

    def __init__(
        self, folder: Path, plan: dict[int, list[str]], limits: Checkpoints | None = None, **settings: Any
    ) -> None:
        self.folder = folder
        self.trainer = trainer(folder, **{"max_steps": 6, **settings})
        self.start = weights(self.trainer.model)
        self.commander = Commander(folder / "run", plan)
        self.trainer.add_callback(self.commander)
        watched(self.trainer, folder, QUIET, limits or Checkpoints())
        self.trainer.train()
        self.snapshot: Snapshot = read(folder)

    def answer(self, verb: str) -> CommandMark:
        return next(mark for mark in self.snapshot.commands if mark.verb == verb)

    def after(self, step: int, nth: int = 0) -> dict[str, torch.Tensor]:
        """Weights with which the step after `step` began, the nth time."""
        return [w for at, w in self.commander.began if at == step][nth]

    def at_end_of(self, step: int, nth: int = 0) -> dict[str, torch.Tensor]:
        return [w for at, w in self.commander.ended if at == step][nth]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("settings", [{}, {"lora": True}], ids=["whole model", "adapter"])
def test_reset_to_base_is_the_start_with_a_fresh_optimizer(tmp_path: Path, settings: dict[str, Any]) -> None:
    run = Steered(tmp_path, {3: ["reset --to base"]}, **settings)
    mark = run.answer("reset")
    assert (mark.status, mark.step) == ("applied", 3), mark.why
    assert not same(run.at_end_of(3), run.start) and same(run.after(3), run.start)
    assert mark.before["distance from the start"] > 0 and mark.after["distance from the start"] == 0  # type: ignore[operator]
    assert mark.after["optimizer"] == "fresh" and mark.who == "tester"
    states = run.trainer.optimizer.optimizer.state.values()
    assert {float(state["step"]) for state in states} == {3.0}, "the optimizer has counted since the reset only"
    assert run.snapshot.state == "finished" and not run.snapshot.errors


def test_reset_in_part_and_blended_and_with_its_optimizer(tmp_path: Path) -> None:
    run = Steered(tmp_path, {2: ["reset --to base --blend 0.25 --layers *layers.1.* --keep-optimizer"]})
    assert run.answer("reset").status == "applied"
    before, after = run.at_end_of(2), run.after(2)
    for name in before:
        expected = before[name].lerp(run.start[name], 0.25) if "layers.1." in name else before[name]
        assert torch.equal(after[name], expected), name
    assert {float(s["step"]) for s in run.trainer.optimizer.optimizer.state.values()} == {6.0}


def test_reset_to_a_checkpoint_takes_its_weights(tmp_path: Path) -> None:
    run = Steered(tmp_path, {2: ["checkpoint early"], 4: ["reset --to early"]})
    assert run.answer("checkpoint").after["checkpoint"] == "early"
    assert same(run.after(4), run.at_end_of(2))
    stored = load_file(tmp_path / "run" / "checkpoints" / "early" / "model.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in run.at_end_of(2).items() if name in stored)


def test_after_a_rollback_the_next_steps_are_those_of_the_first_time(tmp_path: Path) -> None:
    run = Steered(tmp_path, {2: ["checkpoint early"], 7: ["rollback early"]}, max_steps=9)
    mark = run.answer("rollback")
    assert (mark.status, mark.before, mark.after["step"], mark.after["branch"]) == (
        "applied",
        {"step": 7},
        2,
        "branch-2",
    )
    assert [at for at, _ in run.commander.ended] == [1, 2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 7, 8, 9]
    for step in range(3, 8):
        first, again = run.at_end_of(step), run.at_end_of(step, 1)
        assert all(torch.allclose(first[name], again[name], atol=1e-6, rtol=0) for name in first), step
    (branch,) = run.snapshot.branches
    assert (branch.name, branch.parent, branch.step, branch.at, branch.checkpoint) == (
        "branch-2",
        "main",
        7,
        2,
        "early",
    )
    rewards = run.snapshot.columns["reward"]
    assert rewards.steps.tolist() == [1, 2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 7, 8, 9]
    assert rewards.values[2:7] == pytest.approx(rewards.values[7:12])
    again = [probe for probe in run.snapshot.probes["calibration"] if probe.t > branch.t]
    assert again and all(probe.facts["first step"] > branch.at for probe in again)
    assert run.snapshot.state == "finished" and run.snapshot.step == 9


def test_undo_goes_back_to_just_before_a_change_of_weights(tmp_path: Path) -> None:
    run = Steered(tmp_path, {3: ["reset --to base"], 5: ["undo", "undo"]}, max_steps=6)
    first, second = [mark for mark in run.snapshot.commands if mark.verb == "undo"]
    assert first.status == "applied" and first.after["undone"] == "reset" and first.after["step"] == 3
    assert second.status == "refused" and "nothing to undo" in second.why
    assert same(run.after(3, 0), run.start) and same(run.after(3, 1), run.at_end_of(3))


def test_settings_change_at_once_and_undo_puts_them_back(tmp_path: Path) -> None:
    plan = {
        2: ["set learning_rate=5e-4", "set temperature=0.5", "set epsilon=0.3", "set reward_weights.short=0"],
        3: ["undo"],
        4: ["set probes.budget=0.5", "set max_completion_length=6", "set entropy_coef=0.01"],
    }
    run = Steered(tmp_path, plan, lr_scheduler_type="linear", max_steps=6)
    statuses = {" ".join(mark.args) or mark.verb: (mark.status, mark.why) for mark in run.snapshot.commands}
    assert all(status == "applied" for status, _ in statuses.values()), statuses
    rates = run.snapshot.columns["learning_rate"].values
    # TRL logs the rate that the step was made with: 1e-3 (1 - (k - 1) / 6), halved in level at the command.
    assert rates == pytest.approx([1e-3, 1e-3 * 5 / 6, 5e-4, 5e-4 * 3 / 4, 5e-4 * 2 / 4, 5e-4 / 4], rel=1e-6)
    assert run.trainer.temperature == 0.5 and run.trainer.generation_config.temperature == 0.5
    assert run.trainer.reward_weights.tolist() == [1.0, 1.0], "the last of the settings was undone"
    assert run.snapshot.columns["completions/max_length"].values[-1] <= 6
    assert "changes nothing" in statuses["epsilon=0.3"][1]
    assert run.snapshot.settings[0].v["temperature"] == 1.0
    assert run.snapshot.settings[-1].v["probes.budget"] == 0.5


def test_undoing_a_learning_rate_leaves_the_schedule_where_it_would_have_been(tmp_path: Path) -> None:
    plan = {2: ["set learning_rate=5e-4"], 4: ["undo"]}
    run = Steered(tmp_path, plan, lr_scheduler_type="linear", max_steps=6)
    rates = run.snapshot.columns["learning_rate"].values
    assert rates[2:] == pytest.approx([5e-4, 5e-4 * 3 / 4, 1e-3 * 2 / 6, 1e-3 / 6], rel=1e-6)


def test_commands_to_repeat_come_at_their_steps_also_where_the_run_went_back(tmp_path: Path) -> None:
    made = trainer(tmp_path, max_steps=5)
    watched(made, tmp_path, QUIET)
    plan = [(2, "checkpoint", "a"), (4, "rollback", "a"), (2, "set", "temperature=0.8"), (3, "set", "temperature=0.7")]
    planned = [PlannedCommand(step=step, verb=verb, args=[arg]) for step, verb, arg in plan]
    layout = Layout(tmp_path / "run")
    write_facts(layout, msgspec.structs.replace(read_facts(layout), commands=planned))
    made.train()
    snapshot = read(tmp_path)
    assert [(m.step, m.verb, *m.args[:1], m.status) for m in snapshot.commands] == [(*one, "applied") for one in plan]
    assert snapshot.columns["reward"].steps.tolist() == [1, 2, 3, 4, 3, 4, 5]


def test_going_back_into_a_generation_says_that_it_is_not_exact(tmp_path: Path) -> None:
    plan = {1: ["checkpoint odd"], 2: ["checkpoint even", "rollback odd"], 3: ["rollback even"]}
    run = Steered(tmp_path, plan, num_iterations=2, max_steps=4)
    odd, even = [mark for mark in run.snapshot.commands if mark.verb == "rollback"]
    assert odd.status == "applied" and "within a generation" in odd.why
    assert even.status == "applied" and "within a generation" not in even.why
    assert "training ends when its data does" in even.why and not run.snapshot.errors


def test_weights_saved_under_other_names_are_read_by_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Transformers does with mixtures of experts: the model's file does not have the parameters' names."""
    made = trainer(tmp_path, max_steps=4)
    original = type(made).save_model

    def renamed(self: Any, output_dir: str, **kwargs: Any) -> None:
        original(self, output_dir, **kwargs)
        path = Path(output_dir) / "model.safetensors"
        save_file({f"other.{name}": tensor for name, tensor in load_file(path).items()}, path)

    monkeypatch.setattr(type(made), "save_model", renamed)
    start = weights(made.model)
    commander = Commander(tmp_path / "run", {2: ["reset --to base"], 3: ["undo"]})
    made.add_callback(commander)
    watched(made, tmp_path, QUIET)
    made.train()
    assert [mark.status for mark in read(tmp_path).commands] == ["applied", "applied"]
    begun = [w for at, w in commander.began if at == 2]
    ended = next(w for at, w in commander.ended if at == 2)
    assert same(begun[0], start) and same(begun[1], ended)


def test_another_temperature_is_what_probabilities_are_computed_at(tmp_path: Path) -> None:
    run = Steered(tmp_path, {2: ["set temperature=2"]}, max_steps=3)
    ids = torch.tensor([[3, 4, 5, 6]])
    model = run.trainer.model.eval()
    with torch.no_grad():
        logps, _, _ = run.trainer._get_per_token_logps_and_entropies(model, ids, torch.ones_like(ids), 2)
        logits = model(input_ids=ids).logits[:, 1:3] / 2
    expected = torch.log_softmax(logits, -1).gather(-1, ids[:, 2:, None]).squeeze(-1)
    torch.testing.assert_close(logps, expected, atol=1e-5, rtol=1e-5)


def test_beta_from_nothing_makes_a_reference_of_the_start_and_sync_ref_moves_it(tmp_path: Path) -> None:
    plan = {2: ["sync-ref", "set beta=0.1"], 4: ["sync-ref"], 6: ["undo"]}
    run = Steered(tmp_path, plan, max_steps=8)
    refused, synced = [mark for mark in run.snapshot.commands if mark.verb == "sync-ref"]
    assert refused.status == "refused" and "beta is 0" in refused.why and synced.status == "applied"
    kl, base = run.snapshot.columns["kl"], run.snapshot.columns["kl/base_k3"]
    told = dict(zip(kl.steps.tolist()[:3], kl.values.tolist()[:3], strict=True))
    # The first KL is to the start; after the sync the reference is the policy itself, and the two part.
    assert told[3] == pytest.approx(float(base.values[2]), rel=1e-3, abs=1e-6)
    assert told[5] == pytest.approx(0, abs=1e-6) and base.values[4] > 1e-4
    assert run.snapshot.commands[-1].status == "applied" and run.snapshot.commands[-1].after["step"] == 4
    again = [value for step, value in zip(kl.steps, kl.values, strict=True) if step == 5][1]
    assert again == pytest.approx([v for s, v in zip(base.steps, base.values, strict=True) if s == 5][1], rel=1e-3)


REFUSALS = {
    "set learning_rate=5": "between 1e-12 and 1",
    "set learning_rate=0.5": "--yes",
    "set reward_weights.short=-1": "far from -1; send it with --yes",
    "set speed=1": "there is no setting 'speed'",
    "set max_completion_length=7.5": "a whole number",
    "reset --to nowhere": "no whole checkpoint 'nowhere'",
    "reset --to base --layers *nothing*": "no trained parameter is called",
    "rollback nowhere": "no whole checkpoint",
    "sync-ref": "beta is 0",
    "phase next": "no curriculum",
    "probe telepathy": "no probe 'telepathy'",
    "undo": "nothing to undo",
    "resume": "not paused",
}


def test_each_refusal_says_why_and_changes_nothing(tmp_path: Path) -> None:
    run = Steered(tmp_path, {2: list(REFUSALS)}, max_steps=3)
    assert len(run.snapshot.commands) == len(REFUSALS)
    for mark, (words, said) in zip(run.snapshot.commands, REFUSALS.items(), strict=True):
        assert mark.status == "refused" and said in mark.why, (words, mark.status, mark.why)
    assert same(run.at_end_of(2), run.after(2))
    assert whole_checkpoints(Layout(tmp_path / "run")) == {} and not run.snapshot.errors


def test_measuring_on_request_answers_with_what_was_found(tmp_path: Path) -> None:
    run = Steered(tmp_path, {2: ["eval", "probe sparsity", "probe kl", "note looks odd"]}, max_steps=3)
    by_verb = {(mark.verb, *mark.args): mark for mark in run.snapshot.commands}
    assert 0 <= by_verb["eval",].after["eval/pass@1"] <= 1  # type: ignore[operator]
    assert by_verb["probe", "sparsity"].after["sparsity/bf16"] == run.snapshot.columns["sparsity/bf16"].values[1]
    assert by_verb["probe", "kl"].status == "applied"
    (note,) = run.snapshot.notes
    assert (note.step, note.text, note.who) == (2, "looks odd", "tester")


def test_a_change_that_fails_half_way_is_put_back_and_answered_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlpeaks_tui.instrument import steering

    def half(model: Any, *args: Any) -> Any:
        policy.put_weights(model, *args)
        raise MemoryError("half way on purpose")

    monkeypatch.setattr(steering, "put_weights", half)
    run = Steered(tmp_path, {3: ["reset --to base"]})
    mark = run.answer("reset")
    assert mark.status == "failed" and "everything was put back" in mark.why
    assert same(run.after(3), run.at_end_of(3)) and run.snapshot.step == 6
    assert "MemoryError" in run.snapshot.errors[0].text


def test_automatic_checkpoints_keep_within_their_bound_and_spare_what_is_needed(tmp_path: Path) -> None:
    one = 9e-3  # gigabytes: a checkpoint of the tiny model takes about 5.6 MB
    limits = Checkpoints(every=1, limit_gb=3 * one)
    run = Steered(tmp_path, {2: ["checkpoint mine"], 3: ["reset --to mine"]}, limits, max_steps=12)
    whole = whole_checkpoints(Layout(tmp_path / "run"))
    assert sum(manifest.bytes for manifest in whole.values()) <= limits.limit_gb * 1e9
    undo = [name for name, manifest in whole.items() if manifest.origin == "undo"]
    assert "mine" in whole and undo and "auto-1" not in whole
    assert any(name.startswith("auto-1") for name in whole), whole.keys()
    assert [c.name for c in run.snapshot.restorable] == list(whole)


def test_without_room_a_change_of_weights_is_refused_since_it_could_not_be_undone(tmp_path: Path) -> None:
    run = Steered(tmp_path, {2: ["reset --to base"]}, Checkpoints(limit_gb=1e-6), max_steps=3)
    mark = run.answer("reset")
    assert mark.status == "refused" and "checkpoints.limit_gb" in mark.why and same(run.after(2), run.at_end_of(2))


def test_what_a_killed_writer_left_is_swept_away_and_never_offered(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    made = trainer(tmp_path, max_steps=3)
    made.add_callback(Commander(tmp_path / "run", {2: ["rollback half", "reset --to half"]}))
    watched(made, tmp_path, QUIET)
    (folder / ".unfinished-auto-2").mkdir(parents=True)
    (folder / "half").mkdir()
    (folder / "half" / "model.safetensors").write_bytes(b"x")
    made.train()
    snapshot = read(tmp_path)
    assert len(snapshot.commands) == 2
    assert all(mark.status == "refused" and "no whole checkpoint" in mark.why for mark in snapshot.commands)
    assert not (folder / ".unfinished-auto-2").exists() and snapshot.restorable == ()


def test_a_checkpoint_can_be_loaded_and_resumed_from_by_transformers_alone(tmp_path: Path) -> None:
    run = Steered(tmp_path / "first", {2: ["checkpoint plain"]}, max_steps=4)
    resumed = trainer(tmp_path / "second", max_steps=4)
    resumed.train(resume_from_checkpoint=str(tmp_path / "first" / "run" / "checkpoints" / "plain"))
    assert resumed.state.global_step == 4
    assert not same(weights(resumed.model), run.at_end_of(2))


def test_a_run_that_is_let_go_before_it_holds_is_not_called_paused(tmp_path: Path) -> None:
    run = Steered(tmp_path, {1: ["pause", "resume"], 2: ["step 2"], 4: ["resume"]}, max_steps=6)
    assert [mark.status for mark in run.snapshot.commands] == ["applied"] * 4
    lines = [msgspec.json.decode(line) for line in (tmp_path / "run" / "journal" / "trainer-000001.jsonl").open("rb")]
    states = [line["state"] for line in lines if line["k"] == "state"]
    assert states == ["running", "paused", "running", "paused", "running", "finished"]


def test_resume_while_stepping_takes_the_hold_away(tmp_path: Path) -> None:
    run = Steered(tmp_path, {1: ["step 3"], 2: ["resume"]}, max_steps=5)
    assert [(mark.verb, mark.status) for mark in run.snapshot.commands] == [("step", "applied"), ("resume", "applied")]
    assert run.snapshot.state == "finished" and run.snapshot.step == 5


def test_the_same_command_is_applied_once_however_often_it_arrives(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "run")

    class Again(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            order = {"id": "once", "verb": "set", "args": ["temperature=0.7"]}
            if state.global_step in (1, 2, 3):
                (layout.inbox / "once.json").write_bytes(msgspec.json.encode(order))

    made = trainer(tmp_path, max_steps=4)
    made.add_callback(Again())
    watched(made, tmp_path, QUIET)
    made.train()
    assert [(mark.id, mark.step) for mark in read(tmp_path).commands] == [("once", 1)]
