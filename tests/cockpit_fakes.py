"""A run that never trained, written through the real writers, so that the cockpit reads what it would read."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import msgspec
import numpy as np

from rlpeaks_tui.cockpit.reader import Reader, Wanted
from rlpeaks_tui.cockpit.scene import Look, Scene, View
from rlpeaks_tui.run.checkpoints import MANIFEST, Manifest
from rlpeaks_tui.run.entries import (
    Alert,
    Branch,
    Checkpoint,
    Command,
    Error,
    Metrics,
    Note,
    Phase,
    Probe,
    Settings,
    State,
    Value,
)
from rlpeaks_tui.run.facts import Exit, Heartbeat, RunInfo, write_exit, write_facts, write_heartbeat
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.run.heldout import HeldOutPrompts, write_held_out
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layers import Layers, write_layers
from rlpeaks_tui.run.layout import SCHEMA, Layout
from rlpeaks_tui.run.rollouts import Block, RolloutWriter
from rlpeaks_tui.run.signs import RankSign, write_sign

KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

PHASES = [
    {"name": "two operands", "tasks": {"two operands": 1}, "steps": 120},
    {
        "name": "three operands",
        "tasks": {"two operands": 1, "three operands": 3},
        "steps": 160,
        "settings": {"temperature": 1.1},
    },
    {"name": "mostly hard", "tasks": {"three operands": 1, "four operands": 1}},
]

HELD_OUT = [f"{12 + i}+{3 * i}=" for i in range(9)]

LIVE, PLAIN = View(), Look()


def scene_of(directory: Path, view: View = LIVE, look: Look = PLAIN, panel: str = "sparsity") -> Scene:
    """The run at `directory`, read to its end, as the cockpit would show it."""
    reader = Reader(Follower(directory), lambda reading: None)
    reading = reader.read(Wanted(view.cursor, panel))
    while reading.loading:
        reading = reader.read(Wanted(view.cursor, panel))
    return Scene(reading.snapshot, view, look, reading.layers, reading.rollouts, reading.study, reading.health)


class FakeRun:
    """A run directory at `root`, one second a step. Its processes are this one, so it counts as alive."""

    def __init__(
        self,
        root: Path,
        *,
        max_steps: int = 1000,
        seed: int = 0,
        layers: int = 8,
        probes: bool = True,
        world: int = 1,
    ) -> None:
        self.rate = 3e-4
        # Its clock runs ahead of the real one, so that nothing it says ever looks old.
        self.began = time.time()
        self.layout = Layout(root)
        self.layout.create()
        self.max_steps = max_steps
        self.layers = layers
        self.probes = probes
        self.step = 0
        self.undone = 0
        self.branch, self.branches = "main", 1
        self.random = np.random.default_rng(seed)
        self.journal = JournalWriter(self.layout.journal, "trainer", clock=lambda: self.t)
        self.rollouts = RolloutWriter(self.layout.rollouts)
        self.info = RunInfo(
            schema=SCHEMA,
            name="quickstart",
            created=self.began,
            host=socket.gethostname(),
            argv=["rlpeaks", "run", "quickstart"],
            config={
                "model": "tiny-arith",
                "phases": PHASES,
                "grpo": {"learning_rate": 3e-4, "num_generations": 8, "beta": 0.0},
            },
            algorithm="GRPO",
            trainer="trl 1.16.0",
            model="tiny-arith",
            parameters=643_456,
            dtype="float32",
            device="cpu",
            world_size=world,
            seed=seed,
            max_steps=max_steps,
            pid=os.getpid(),
            launcher_pid=os.getpid(),
            versions={"trl": "1.16.0", "torch": "2.13.0", "transformers": "5.23.0"},
        )
        write_facts(self.layout, self.info)

    @property
    def t(self) -> float:
        return self.began + self.step + self.undone

    def state(self, state: str, activity: str = "") -> None:
        """Say what the run does now."""
        self.journal.write(
            State(t=self.t, state=state, activity=activity, step=self.step, pid=os.getpid(), host=socket.gethostname())
        )

    def beat(self, activity: str = "generating") -> None:
        beat = Heartbeat(
            t=self.t,
            beat=1,
            pid=os.getpid(),
            host=socket.gethostname(),
            step=self.step,
            activity=activity,
            since=self.t,
        )
        write_heartbeat(self.layout, beat)

    def sign(self, rank: int, activity: str, age: float = 0.2, typical: float = 1.0, **known: object) -> None:
        """A rank's sign of life: it does that for `age` seconds, and a step takes `typical` seconds as a rule."""
        parts = {"generating": 0.61, "scoring": 0.02, "updating": 0.34, "probing": 0.01, "waiting": 0.02 * rank}
        medians = {name: typical * share for name, share in parts.items() if share}
        done = list(medians)[: list(parts).index(activity)] if activity in parts else []
        plain = {
            "t": self.t, "rank": rank, "world": self.info.world_size, "pid": os.getpid(), "host": socket.gethostname(),
            "step": self.step, "activity": activity, "since": self.t - age, "stacks": True, "steps": 50,
            "spans": [(name, medians[name]) for name in done], "typical": medians,
            "total": {name: 50 * seconds for name, seconds in medians.items()},
            "memory": {"rss": 587_000_000 + rank, "peak": 611_000_000 + rank},
        }  # fmt: skip
        self.layout.ranks.mkdir(exist_ok=True)
        write_sign(self.layout, RankSign(**{**plain, **known}))  # type: ignore[arg-type]

    def probe(self, name: str, seconds: float) -> None:
        """A probe that took that long and found nothing."""
        self.journal.write(Probe(t=self.t, name=name, step=self.step, v={f"probes/{name}": seconds}, seconds=seconds))

    def advance(self, steps: int) -> None:
        """Train for `steps` more steps, in one write."""
        entries: list[Metrics | Probe] = []
        for _ in range(steps):
            self.step += 1
            entries.append(self._metrics())
            if self.probes and self.step % 25 == 0:
                entries += self._probes()
        self.journal.write(*entries)
        if self.probes:
            self._generation()
        self.beat()

    def phase(self, name: str, index: int, of: int = 3, why: str = "scheduled") -> None:
        self.journal.write(Phase(t=self.t, step=self.step, name=name, index=index, of=of, why=why))

    def command(
        self, ident: str, verb: str, *args: str, status: str = "applied", why: str = "", **change: float
    ) -> None:
        """Answer a command; `change` gives values after it, with half of each before."""
        before = {name: value / 2 for name, value in change.items()}
        self.journal.write(
            Command(
                t=self.t,
                id=ident,
                verb=verb,
                status=status,
                step=self.step,
                args=list(args),
                who="ada@login1",
                why=why,
                before=before,
                after=dict(change),
            )
        )

    def alert(self, rule: str, text: str, on: bool = True) -> None:
        self.journal.write(Alert(t=self.t, rule=rule, on=on, step=self.step, severity="warn", text=text))

    def checkpoint(self, name: str) -> None:
        """A whole checkpoint, of a size that a hole in a file has too."""
        folder, size = self.layout.checkpoints / name, 7_800_000
        folder.mkdir(parents=True)
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(size)
        manifest = Manifest(
            name=name,
            step=self.step,
            created=self.t,
            origin="auto",
            branch=self.branch,
            world_size=1,
            micro_step=0,
            files={"model.safetensors": size},
            settings={},
        )
        (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        self.journal.write(Checkpoint(t=self.t, step=self.step, name=name, bytes=size))

    def settings(self, cannot: dict[str, str] | None = None, **values: Value) -> None:
        """Settings in force, and which commands cannot work."""
        self.journal.write(Settings(t=self.t, step=self.step, v=values, cannot=cannot or {}))

    def note(self, text: str) -> None:
        self.journal.write(Note(t=self.t, step=self.step, text=text, who="ada@login1"))

    def roll_back(self, at: int, checkpoint: str) -> None:
        """Go on from step `at` on a branch of its own, numbered as the training process does."""
        self.branches += 1
        name = f"branch-{self.branches}"
        entry = Branch(t=self.t, name=name, parent=self.branch, step=self.step, at=at, checkpoint=checkpoint)
        self.journal.write(entry)
        self.undone += self.step - at + 1
        self.step, self.branch = at, name

    def error(self, where: str, text: str) -> None:
        self.journal.write(Error(t=self.t, where=where, text=text, step=self.step))

    def console(self, *lines: str) -> None:
        with self.layout.console.open("a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)

    def exit(self, code: int | None, signal: str = "", tail: tuple[str, ...] = ()) -> None:
        write_exit(self.layout, Exit(t=self.t, code=code, signal=signal, tail=list(tail)))

    def _progress(self) -> float:
        return 1 - float(np.exp(-self.step / (self.max_steps * 0.18)))

    def _metrics(self) -> Metrics:
        done, noise = self._progress(), self.random.normal
        reward = float(np.clip(0.32 + 0.56 * done + noise(0, 0.03), 0, 1))
        entropy = 0.24 * (1 - 0.85 * done) + abs(float(noise(0, 0.006)))
        drift = 0.055 * done**1.3
        column = 0.3 + 0.6 * done
        seconds = 0.128 + abs(float(noise(0, 0.006)))
        values = {
            "reward": reward,
            "reward_std": 0.42 - 0.2 * done,
            "frac_reward_zero_std": 0.1 + 0.35 * done,
            "rewards/correct/mean": float(np.clip(reward - 0.05, 0, 1)),
            "rewards/format/mean": 0.6 + 0.38 * done,
            "reward/two operands": float(np.clip(0.5 + 0.48 * done + noise(0, 0.03), 0, 1)),
            "reward/three operands": float(np.clip(0.1 + 0.6 * done + noise(0, 0.04), 0, 1)),
            "entropy": entropy,
            "kl/base_k1": drift + float(noise(0, 0.004)),
            "kl/base_k3": drift * (1 + abs(float(noise(0, 0.06)))),
            "completions/mean_length": 11 + 9 * done + float(noise(0, 0.4)),
            "completions/clipped_ratio": 0.004,
            "loss": float(noise(0, 0.02)),
            "grad_norm": 0.8 + abs(float(noise(0, 0.15))),
            "learning_rate": self.rate,
            "time/step": seconds,
            "time/generate": 0.61 * seconds,
            "time/score": 0.02 * seconds,
            "time/update": 0.34 * seconds,
            "time/probe": 0.012 * seconds,
            "time/wait": 0.005 * seconds,
            "probes/share": 0.014,
            "format/column": column,
            "format/program": 0.35 * (1 - done) + 0.02,
            "format/direct": 0.3 * (1 - done) + 0.02,
            "format/other": 0.05 * (1 - done),
            "format/entropy": 1.25 * (1 - 0.75 * done),
            "advantage/column": 0.3 * (1 - column),
            "advantage/program": -0.2,
            "advantage/direct": -0.3,
            "groups/all_right": 0.1 + 0.3 * done,
            "groups/all_wrong": 0.2 * (1 - done),
        }
        return Metrics(t=self.t, step=self.step, v=values, phase="")

    def _probes(self) -> list[Probe]:
        done = self._progress()
        drift = 0.055 * done**1.3
        edges = np.linspace(0, 1, 11)
        middle = (edges[1:] + edges[:-1]) / 2
        count = (8 + 90 * middle**2).astype(int)
        accuracy = np.clip(middle - 0.22 * middle * (1 - done) - 0.08 * middle, 0, 1)
        ece = float(np.average(np.abs(accuracy - middle), weights=count))
        self._layers(done)
        examined = [self._evaluation(), self._rank(done)] if self.step % 100 == 0 else []
        return [
            *examined,
            Probe(
                t=self.t,
                name="after",
                step=self.step,
                v={
                    "dlogp/right": 0.01 + 0.002 * float(np.sin(self.step)),
                    "dlogp/wrong": -0.02 + 0.002 * float(np.sin(self.step)),
                },
            ),
            Probe(
                t=self.t,
                name="gradients",
                step=self.step,
                v={
                    "gradient/positive": 0.5,
                    "gradient/negative": 1.5 - 0.5 * done,
                    "gradient/cosine": 0.2 - 0.5 * done,
                },
            ),
            Probe(
                t=self.t,
                name="kl",
                step=self.step,
                v={"kl/base": drift * 1.01, "kl/base_se": 0.0015, "kl/base_forward": drift * 1.2},
            ),
            Probe(
                t=self.t,
                name="calibration",
                step=self.step,
                v={
                    "calibration/ece": ece,
                    "calibration/ece_debiased": ece - 0.02,
                    "calibration/ece_low": max(0.0, ece - 0.05),
                    "calibration/ece_high": ece + 0.03,
                    "calibration/brier": 0.16,
                    "calibration/auroc": 0.78,
                    "calibration/confidence_std": 0.24,
                    "calibration/accuracy": 0.7,
                    "calibration/n": float(count.sum()),
                },
                n=int(count.sum()),
                facts={"calibration/source": "probability of the answer", "overclaim_half": 0.05},
                arrays={
                    "edges": edges.tolist(),
                    "count": count.tolist(),
                    "size": count.tolist(),
                    "confidence": middle.tolist(),
                    "accuracy": accuracy.tolist(),
                },
            ),
            Probe(
                t=self.t,
                name="sparsity",
                step=self.step,
                v={
                    "sparsity/exact": 0.004,
                    "sparsity/bf16": 0.95 - 0.5 * done,
                    "sparsity/relative": 0.7 - 0.45 * done,
                    "sparsity/null": 0.94 - 0.5 * done,
                },
            ),
        ]

    def _evaluation(self) -> Probe:
        """Prompt i of the base is right in i of 8; the policy learns the first, forgets the last, keeps the rest."""
        base = [i % 9 / 8 for i in range(len(HELD_OUT))]
        rate = [1.0, *base[1:-1], 0.0]
        return Probe(
            t=self.t,
            name="eval",
            step=self.step,
            v={"eval/pass@1": float(np.mean(rate))},
            n=len(rate),
            facts={"samples": 8},
            arrays={"rate": [*rate], "base_rate": [*base]},
        )

    def _rank(self, done: float) -> Probe:
        return Probe(
            t=self.t,
            name="rank",
            step=self.step,
            v={"update/rank": 1.0, "update/stable_rank": 4 + 2 * done, "update/angle": 0.3, "update/nss": 2e-5},
            facts={"model.layers.0.self_attn.q_proj.weight": "rank 128, stable rank 5.0, angle 0.30 degrees"},
        )

    def _layers(self, done: float) -> None:
        names, share, sizes = ["model.embed_tokens.weight"], [0.97], [8192]
        for layer in range(self.layers):
            for j, kind in enumerate(KINDS):
                block = "self_attn" if j < 4 else "mlp"
                names.append(f"model.layers.{layer}.{block}.{kind}.weight")
                share.append(float(np.clip(0.95 - done * (0.72 - 0.06 * j - 0.03 * layer), 0, 1)))
                sizes.append(16384)
            names.append(f"model.layers.{layer}.input_layernorm.weight")
            share.append(0.99)
            sizes.append(128)
        values = np.array(share)
        write_layers(
            self.layout.layers,
            Layers(
                step=self.step,
                names=tuple(names),
                n=np.array(sizes),
                exact=np.full(len(names), 0.004),
                bf16=values,
                relative=values * 0.5,
                null=np.clip(values - 0.01, 0, 1),
                delta_norm=np.ones(len(names)),
                weight_norm=np.ones(len(names)),
            ),
        )

    def _generation(self) -> None:
        prompts = [f"{a}+{b}+{c}=" for a, b, c in ((37, 58, 14), (12, 9, 81), (65, 7, 20), (99, 2, 3))]
        answers = ["C7+8+4=19,3+5+1+1=10:109?8", "P37+58=95,95+14=109:109?9", "D99?4", "C7+8=15,3+5+1=9:95?6"]
        n = 8 * len(prompts)
        reward = (self.random.random(n) < 0.3 + 0.5 * self._progress()).astype(float)
        centred = reward.reshape(-1, 8) - reward.reshape(-1, 8).mean(axis=1, keepdims=True)
        advantage = (centred / (centred.std(axis=1, keepdims=True) + 1e-4)).reshape(-1)
        self.rollouts.append(
            Block(
                step=self.step,
                phase="three operands",
                prompts=prompts,
                group=[i // 8 for i in range(n)],
                completions=[answers[i % 4] for i in range(n)],
                rewards={"correct": reward.tolist(), "format": [1.0] * n},
                reward=reward.tolist(),
                advantage=advantage.tolist(),
                length=[14 + i % 5 for i in range(n)],
                truncated=[i % 13 == 12 for i in range(n)],
                task=["three operands"] * n,
                correct=reward.tolist(),
                confidence=[0.6 + 0.1 * (i % 4) for i in range(n)],
                format=[("column", "program", "direct", "column")[i % 4] for i in range(n)],
            )
        )


def steered_run(root: Path, *, steps: int = 412, max_steps: int = 1000, world: int = 1) -> FakeRun:
    """A live run with phases, commands that changed something, and a console."""
    run = FakeRun(root, max_steps=max_steps, world=world)
    tasks = ["two operands"] * len(HELD_OUT)
    write_held_out(run.layout, HeldOutPrompts(prompts=HELD_OUT, tasks=tasks))
    run.state("running")
    run.phase("two operands", 0)
    run.console("accelerate launch: 1 process on cpu", "model tiny-arith loaded, 643,456 parameters")
    part = steps // 4
    run.advance(part)
    run.phase("three operands", 1)
    run.command("a", "phase", "next")
    run.advance(part)
    run.command("b", "sync-ref")
    run.checkpoint("auto-200")
    run.advance(part)
    run.command("c", "set", "learning_rate=1e-4", learning_rate=1e-4)
    run.console("checkpoint auto-300 written, 7.8 MB")
    run.advance(steps - 3 * part)
    return run
