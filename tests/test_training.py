"""A real training, and every figure of it computed again from the completions and weights that it came from."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlpeaks_tui import bundle
from rlpeaks_tui.phases import Phase
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.layers import read_layers
from rlpeaks_tui.run.rollouts import RolloutReader, Rollouts
from rlpeaks_tui.stats.catalog import lookup
from tests.training_runs import rlpeaks, sets
from trainers.tasks import TASKS

STEPS = 12


class Trained:
    """A finished run with everything read."""

    def __init__(self, runs: Path, name: str) -> None:
        self.runs, self.name, self.directory = runs, name, runs / name
        follower = Follower(self.directory)
        while follower.poll(5.0) or follower.more:
            pass
        self.snapshot: Snapshot = follower.snapshot()
        reader = RolloutReader(self.directory / "rollouts")
        reader.refresh()
        read = [reader.read(i) for i in range(len(reader.index))]
        self.rollouts: list[Rollouts] = [r for r in read if r is not None]
        assert len(self.rollouts) == len(read)

    def values(self, metric: str) -> dict[int, float]:
        series = self.snapshot.columns.get_series(metric)
        return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    runs = tmp_path_factory.mktemp("runs")
    processes = request.param
    settings = sets(
        grpo__max_steps=STEPS,
        accelerate__num_processes=processes,
        grpo__per_device_train_batch_size=32 // processes,
        probes__budget=1,
        probes__sparsity=4,
        probes__kl_exact=3,
        probes__calibration=1,
        phases__0__steps="",
        phases__0__until="{reward: {at_least: 0, for: 3}}",
        phases__1__steps=4,
    )
    done = rlpeaks(runs, "run", "quickstart", "--headless", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"step {STEPS}/{STEPS}" in done.stdout
    return Trained(runs, "quickstart")


def test_the_run_ends_finished_and_says_what_it_was(trained: Trained) -> None:
    snapshot = trained.snapshot
    assert (snapshot.state, snapshot.step, snapshot.max_steps) == ("finished", STEPS, STEPS)
    assert not snapshot.errors and not snapshot.lost and not snapshot.skipped
    info = snapshot.info
    assert info.parameters == sum(p.numel() for p in load_file(_tiny() / "model.safetensors").values())
    assert info.dtype == "float32" and info.algorithm == "GRPO" and info.trainer == "GRPOTrainer"
    assert info.world_size == int(info.config["accelerate"]["num_processes"])
    assert info.versions["trl"] and info.seed == 7


def test_every_step_has_its_rollouts_and_its_metrics(trained: Trained) -> None:
    assert [r.step for r in trained.rollouts] == list(range(1, STEPS + 1))
    for name in ("reward", "entropy", "kl/base_k1", "kl/base_k3", "grad_norm", "time/step", "format/entropy"):
        assert sorted(trained.values(name)) == list(range(1, STEPS + 1)), name
    assert all(len(r.completions) == 32 and len(r.prompts) == 4 for r in trained.rollouts)


def test_the_catalog_knows_everything_that_a_training_journals(trained: Trained) -> None:
    assert [name for name in trained.snapshot.columns.names() if lookup(name) is None] == []


def test_rewards_by_function_and_task_are_the_means_of_the_completions(trained: Trained) -> None:
    for rollouts in trained.rollouts:
        step = rollouts.step
        assert trained.values("reward")[step] == pytest.approx(rollouts.reward.mean(), abs=1e-6)
        assert trained.values("rewards/correct/mean")[step] == pytest.approx(
            rollouts.rewards["correct"].mean(), abs=1e-6
        )
        tasks = np.array(rollouts.task)
        for task in set(rollouts.task):
            expected = rollouts.reward[tasks == task].mean()
            assert trained.values(f"reward/{task}")[step] == pytest.approx(expected, abs=1e-9)


def test_advantages_and_dead_groups_follow_from_the_rewards(trained: Trained) -> None:
    for rollouts in trained.rollouts:
        reward = rollouts.reward.reshape(4, 8)
        scaled = (reward - reward.mean(1, keepdims=True)) / (reward.std(1, ddof=1, keepdims=True) + 1e-4)
        np.testing.assert_allclose(rollouts.advantage.reshape(4, 8), scaled, atol=1e-4)
        dead = float((reward.std(1) == 0).mean())
        assert trained.values("frac_reward_zero_std")[rollouts.step] == pytest.approx(dead)


def test_the_answers_were_judged_rightly(trained: Trained) -> None:
    for rollouts in trained.rollouts:
        for i, text in enumerate(rollouts.completions):
            truth = eval(rollouts.prompts[rollouts.group[i]].removesuffix("="))
            stated = text.rpartition(":")[2].partition("?")[0].lstrip("DPC")
            right = stated.isdecimal() and int(stated) == truth
            assert rollouts.correct[i] == rollouts.reward[i] == float(right), (
                rollouts.prompts[rollouts.group[i]],
                text,
            )


def test_entropy_agrees_with_trl_token_by_token_sum(trained: Trained) -> None:
    for rollouts in trained.rollouts:
        assert trained.values("entropy")[rollouts.step] == pytest.approx(
            rollouts.entropy.sum() / rollouts.length.sum(), rel=1e-3
        )
        assert trained.values("completions/mean_length")[rollouts.step] == pytest.approx(
            rollouts.length.mean(), rel=1e-5
        )


def test_base_log_probabilities_are_those_of_the_base_model(trained: Trained) -> None:
    """Computed again with plain transformers from prompt and completion, without TRL and without the instruments."""
    model = AutoModelForCausalLM.from_pretrained(_tiny(), dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(_tiny())
    for rollouts in (trained.rollouts[0], trained.rollouts[-1]):
        for i in range(0, 32, 5):
            prompt = tokenizer(rollouts.prompts[rollouts.group[i]]).input_ids
            completion = tokenizer(rollouts.completions[i]).input_ids
            if not rollouts.truncated[i]:
                completion = [*completion, tokenizer.eos_token_id]
            assert len(completion) == rollouts.length[i]
            with torch.no_grad():
                logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
            logp = torch.log_softmax(logits, -1)[torch.arange(len(completion)), torch.tensor(completion)]
            assert rollouts.base_logp[i] == pytest.approx(float(logp.sum()), abs=2e-3)


def test_kl_estimates_follow_from_the_log_probabilities(trained: Trained) -> None:
    for rollouts in trained.rollouts:
        k1 = (rollouts.logp - rollouts.base_logp).sum() / rollouts.length.sum()
        assert trained.values("kl/base_k1")[rollouts.step] == pytest.approx(k1, abs=1e-6)
        assert trained.values("kl/base_k3")[rollouts.step] == pytest.approx(
            rollouts.k3.sum() / rollouts.length.sum(), abs=1e-6
        )
        assert (rollouts.k3 >= -1e-6).all()
    first = trained.rollouts[0]
    np.testing.assert_allclose(first.logp, first.base_logp, atol=1e-4)
    assert trained.values("kl/base_k3")[STEPS] > 1e-4


def test_token_traces_add_up_to_their_completion(trained: Trained) -> None:
    for rollouts in trained.rollouts:
        assert rollouts.tokens
        for trace in rollouts.tokens:
            assert len(trace.pieces) == rollouts.length[trace.index]
            assert "".join(trace.pieces).removesuffix("$") == rollouts.completions[trace.index]
            assert float(trace.logp.sum()) == pytest.approx(rollouts.logp[trace.index], abs=1e-3)
            assert float(trace.base_logp.sum()) == pytest.approx(rollouts.base_logp[trace.index], abs=1e-3)
            assert float(trace.entropy.sum()) == pytest.approx(rollouts.entropy[trace.index], abs=1e-3)


def test_exact_kl_agrees_with_the_sampled_estimates(trained: Trained) -> None:
    exact, error = trained.values("kl/base"), trained.values("kl/base_se")
    assert len(exact) >= 3 and exact[min(exact)] == pytest.approx(0, abs=1e-5)
    last = max(exact)
    k3 = trained.values("kl/base_k3")
    # The first rank's rows are half of the sample where there are two ranks.
    assert abs(exact[last] - k3[last]) < 6 * error[last] + 0.3 * exact[last] + 1e-3


def test_update_sparsity_is_that_of_the_saved_weights(trained: Trained) -> None:
    before = load_file(_tiny() / "model.safetensors")
    after = load_file(trained.directory / "checkpoints" / "final" / "model.safetensors")
    layers = read_layers(trained.directory / "layers", STEPS)
    assert layers is not None and set(layers.names) == set(after)
    n = same = same_bf16 = close = 0
    for i, name in enumerate(layers.names):
        a, b = before[name], after[name]
        bf16 = (a.to(torch.bfloat16) == b.to(torch.bfloat16)).double().mean()
        assert layers.bf16[i] == pytest.approx(float(bf16), abs=1e-9)
        assert layers.exact[i] == pytest.approx(float((a == b).double().mean()), abs=1e-9)
        assert layers.delta_norm[i] == pytest.approx(float((b - a).double().norm()), rel=1e-4)
        n += a.numel()
        same += int((a == b).sum())
        same_bf16 += int((a.to(torch.bfloat16) == b.to(torch.bfloat16)).sum())
        close += int(((b - a).abs() <= 1e-3 * torch.maximum(a.abs(), b.abs())).sum())
    assert trained.values("sparsity/exact")[STEPS] == pytest.approx(same / n, abs=1e-9)
    assert trained.values("sparsity/bf16")[STEPS] == pytest.approx(same_bf16 / n, abs=1e-9)
    assert trained.values("sparsity/relative")[STEPS] == pytest.approx(close / n, abs=1e-5)
    # Training moves nearly everything by about the learning rate: there is no structure for the null to miss.
    assert trained.values("sparsity/null")[STEPS] == pytest.approx(same_bf16 / n, abs=0.05)


def test_calibration_is_that_of_the_rollouts_in_its_window(trained: Trained) -> None:
    confidence = np.concatenate([r.confidence for r in trained.rollouts])
    correct = np.concatenate([r.correct for r in trained.rollouts])
    known = np.isfinite(confidence[-512:])
    q, y = confidence[-512:][known], correct[-512:][known]
    assert trained.values("calibration/n")[STEPS] == len(q)
    bins = np.minimum((q * 10).astype(int), 9)
    ece = sum(abs(q[bins == b].mean() - y[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert trained.values("calibration/ece")[STEPS] == pytest.approx(ece, abs=1e-9)
    assert trained.values("calibration/brier")[STEPS] == pytest.approx(((q - y) ** 2).mean(), abs=1e-9)
    table = trained.snapshot.calibrations[-1]
    assert table is not None and table.count.sum() == len(q) and table.source == "stated confidence"


def test_formats_are_counted(trained: Trained) -> None:
    for rollouts in trained.rollouts:
        counts = Counter(
            {"D": "direct", "P": "program", "C": "column"}.get(c[:1], "other") for c in rollouts.completions
        )
        for name, count in counts.items():
            assert trained.values(f"format/{name}")[rollouts.step] == pytest.approx(count / 32)


def expected(seed: int, number: int, phase: Phase) -> tuple[str, str]:
    """Task and prompt of prompt `number`, from the definition."""
    rng = np.random.default_rng([seed, number])
    weights = np.array(list(phase.tasks.values()))
    task = list(phase.tasks)[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return task, str(TASKS[task].sample(rng, 1)[0].prompt)


def test_rules_advance_the_curriculum_from_the_next_generation_on(trained: Trained) -> None:
    snapshot = trained.snapshot
    phases = msgspec.convert(snapshot.info.config["phases"], list[Phase])
    assert list(snapshot.info.phases) == [phase.name for phase in phases]
    for rollouts in trained.rollouts:
        phase = phases[0 if rollouts.step <= 3 else 1 if rollouts.step <= 7 else 2]
        assert rollouts.phase == phase.name
        made = [expected(7, (rollouts.step - 1) * 4 + i, phase) for i in range(4)]
        assert list(rollouts.prompts) == [prompt for _, prompt in made]
        assert list(rollouts.task) == [task for task, _ in made for _ in range(8)]
    mean = np.mean([rollouts.reward.mean() for rollouts in trained.rollouts[:3]])
    assert [(p.step, p.name, p.index, p.of, p.why) for p in snapshot.phases] == [
        (1, phases[0].name, 0, 3, ""),
        (4, phases[1].name, 1, 3, f"reward {mean:.3g} over the last 3 steps, at least 0"),
        (8, phases[2].name, 2, 3, "4 steps done"),
    ]


def test_what_does_not_apply_says_why(trained: Trained) -> None:
    assert "kl" not in trained.snapshot.columns
    assert "beta is 0" in (trained.snapshot.columns.why("kl") or "")
    assert "1 by construction" in (trained.snapshot.columns.why("clip_ratio/region_mean") or "")


def test_times_add_up(trained: Trained) -> None:
    for step in range(1, STEPS + 1):
        parts = sum(trained.values(f"time/{part}")[step] for part in ("generate", "score", "update", "probe"))
        assert parts == pytest.approx(trained.values("time/step")[step], rel=0.02)


def test_export_holds_what_the_journal_holds(trained: Trained) -> None:
    done = rlpeaks(trained.runs, "export", trained.name, "-o", "-")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    for name in ("reward", "entropy", "kl/base_k3", "sparsity/bf16"):
        recorded = trained.values(name)
        for row in rows:
            assert (float(row[name]) if row[name] else None) == recorded.get(int(row["step"]))


def _tiny() -> Path:
    folder = bundle.model_folder("tiny_arith")
    assert folder is not None
    return folder
