"""The trainings on which claims are tried: the tiny model on two-digit sums, watched by the product's own instruments.

The settings are those of the toy on which the expectations were first measured: on-policy GRPO of 32 prompts x 8
completions, AdamW at a constant rate, no KL term. A training that is in the folder already is not made again.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec
import numpy as np
import torch
from trl import GRPOTrainer

from rlpeaks_tui.config import Phase, Probes, load
from rlpeaks_tui.instrument.answering import Answering
from rlpeaks_tui.instrument.probes.routing import decode, nowhere, where_gained
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.instrument.starting_weights import looking
from rlpeaks_tui.instrument.watcher import Watcher
from rlpeaks_tui.run.entries import Probe
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.layout import SCHEMA, Layout
from rlpeaks_tui.verbs.headless import read_all
from trainers.grpo_training import curriculum_of, make_trainer

RATE, STEPS = 3e-4, 100
PROMPTS, GROUP = 32, 8
EVERY = 5
"""Steps between probes: 1, 6, 11, ... The KL over the full vocabulary is taken of all completions of such a step."""

HELD_OUT = 128
"""Held-out prompts on which policy and base are routed, greedily, after the last step."""


class Lab:
    """Makes trainings when they are asked for, and keeps them."""

    def __init__(self, folder: Path, steps: int = STEPS) -> None:
        self._folder = folder
        self._steps = steps

    def run(self, seed: int, rate: float = RATE, steps: int | None = None) -> Snapshot:
        """A finished training, from the folder if it is there already."""
        steps = steps or self._steps
        directory = self._folder / f"seed{seed}-rate{rate:g}-steps{steps}"
        if not directory.exists():
            began = time.perf_counter()
            unfinished = directory.with_name(f"unfinished-{directory.name}")
            _train(unfinished, seed, rate, steps)
            unfinished.rename(directory)
            print(f"{directory.name}: {time.perf_counter() - began:.0f} s", flush=True)
        return read_all(directory)


def _train(directory: Path, seed: int, rate: float, steps: int) -> None:
    # Small tensors: threads would only wait for each other.
    torch.set_num_threads(1)
    settings = {
        "seed": seed,
        "grpo.max_steps": steps,
        "grpo.learning_rate": rate,
        "grpo.per_device_train_batch_size": PROMPTS * GROUP,
        "grpo.num_generations": GROUP,
    }
    run, _ = load("quickstart", [f"{key}={value}" for key, value in settings.items()])
    rare = 10 * STEPS
    probes = Probes(
        budget=1.0, kl=EVERY, kl_exact=EVERY, kl_exact_rollouts=PROMPTS * GROUP, sparsity=EVERY, rank=EVERY,
        gradients=rare, after=rare, features=rare, calibration=rare, health=rare, eval=rare,
        routing=STEPS, heldout_prompts=HELD_OUT,
    )  # fmt: skip
    sums = [Phase(name="sums", tasks={"two_operands": 1.0})]
    run = msgspec.structs.replace(run, phases=sums, probes=probes)
    layout = Layout(directory)
    layout.create()
    write_facts(layout, RunInfo(schema=SCHEMA, name=directory.name, created=time.time(), seed=seed))
    trainer = make_trainer(run, directory, lambda _: None)
    recorder = Recorder(directory)
    watcher = Watcher(trainer, recorder, run.probes, run.seed, curriculum_of(run, trainer.args))
    trainer.add_callback(watcher)
    trainer.train()
    recorder.write(Probe(t=time.time(), name="papers", step=steps, v=_identities(trainer, watcher)))
    recorder.close()


def _identities(trainer: GRPOTrainer, watcher: Watcher) -> dict[str, float | None]:
    """Share of held-out prompts on which a decoding is the policy's own greedy completion, token for token.

    The base with the policy's token wherever their likeliest ones differ, and the base by itself. The completion is
    that of Transformers' own search.
    """
    answering, model, base = Answering(trainer, watcher._bridge), trainer.model, watcher._measuring.base
    assert base is not None
    prompts = watcher._bridge.tokenize([row["prompt"] for row in trainer.eval_dataset])
    ids, mask = answering._padded(prompts)
    with looking(model):
        out = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=answering.longest)
        own = [answering._cut(row) for row in out[:, ids.size(1) :].tolist()]
        same: dict[str, float | None] = {}
        with base.beside(model) as use_base:
            for name, rule in (("papers/routed_same", where_gained(-math.inf)), ("papers/base_same", nowhere)):
                found = decode(answering.lock_step(prompts, use_base), rule, answering.longest, answering.stops)
                told = [row[live].tolist() for row, live in zip(found.tokens, found.live, strict=True)]
                same[name] = float(np.mean([a == b for a, b in zip(told, own, strict=True)]))
    return same
