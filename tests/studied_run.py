"""A run that never trained and obeys laws that are known: a sigmoid in steps, accuracy linear in e^H, drift in a line.

What its panels say can then be held against the laws themselves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlpeaks_tui.run.entries import Metrics, Probe
from rlpeaks_tui.run.heldout import HeldOutPrompts, write_held_out
from rlpeaks_tui.run.rollouts import Block, TokenBlock
from tests.cockpit_fakes import FakeRun

BASE, CEILING, MIDPOINT, EXPONENT = 0.2, 0.8, 60.0, 2.0
A, B = 0.4, 1.25
"""Of R = -A e^H + B."""
DRIFT = 0.0002
"""Nats a token that each step adds."""
SAMPLES, GROUP, GROUPS = 8, 8, 4
IDLE, GENERATING = 0.25, 0.1
TASKS = ("sums", "sums", "sums", "products")
PIECES = ("6", "=", "7", "+")


def accuracy(step: int) -> float:
    return BASE + (CEILING - BASE) / (1 + (MIDPOINT / max(step, 1)) ** EXPONENT)


def entropy(step: int) -> float:
    return float(np.log((B - accuracy(step)) / A))


class StudiedRun(FakeRun):
    """Evaluated every `every` steps; each generation keeps two completions of four tokens."""

    every = 25
    noise = 0.02

    def advance(self, steps: int) -> None:
        """One generation a step."""
        for _ in range(steps):
            super().advance(1)
            if self.step % self.every == 0:
                self.journal.write(self.evaluation())

    def evaluation(self) -> Probe:
        rate, base = self.rates()
        now = accuracy(self.step)
        return Probe(
            t=self.t,
            name="eval",
            step=self.step,
            v={
                **{f"eval/pass@{k}": now ** (1 / k) for k in (1, 2, 4, 8)},
                **{f"eval/base_pass@{k}": BASE ** (1 / k) for k in (1, 2, 4, 8)},
                "eval/pass@1_se": 0.01,
                "eval/accuracy/products": now,
                "eval/accuracy/sums": now,
                "eval/gain": 0.1,
                "eval/gain_low": 0.04,
                "eval/gain_high": 0.17,
                "eval/policy_only": 0.25,
                "eval/base_only": 0.0625,
                "eval/mcnemar": 0.375,
            },
            n=len(rate),
            facts={"samples": SAMPLES},
            arrays={"rate": rate.tolist(), "base_rate": base.tolist()},
        )

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """Of 16 prompts, four times the tasks in their order."""
        rate = np.tile([1.0, 0.5, 0.75, 0.875], 4)
        return rate, np.tile([0.25, 0.0, 0.5, 0.125], 4)

    def held_out(self) -> None:
        prompts = [f"{i}+{i}=" for i in range(16)]
        write_held_out(self.layout, HeldOutPrompts(prompts=prompts, tasks=list(TASKS * 4)))

    def _metrics(self) -> Metrics:
        noise = self.random.normal
        now = accuracy(self.step)
        values = {
            "reward": now + float(noise(0, self.noise)),
            "reward/sums": now + float(noise(0, self.noise)),
            "reward/products": now + float(noise(0, self.noise)),
            "rewards/correct/mean": now,
            "entropy": entropy(self.step),
            "entropy/forking": 4.5 * entropy(self.step),
            "entropy/forking_overlap": 0.6,
            "cov/logp_advantage": 0.02 + float(noise(0, 0.002)),
            "cov/top_share": 0.1,
            "kl/base_k1": DRIFT * self.step + float(noise(0, 0.0005)),
            "kl/base_k3": DRIFT * self.step + abs(float(noise(0, 0.001))),
            "frac_reward_zero_std": IDLE,
            "rollouts/no_gradient": IDLE,
            "groups/expected_zero_variance": 0.1,
            "groups/all_right": 0.2,
            "groups/all_wrong": 0.05,
            "time/step": 0.2,
            "time/generate": GENERATING,
            "completions/mean_length": 4.0,
            "completions/clipped_ratio": 0.0,
        }
        return Metrics(t=self.t, step=self.step, v=values)

    def _probes(self) -> list[Probe]:
        values = {"kl/base": DRIFT * self.step, "kl/base_se": 0.001, "kl/base_forward": 2 * DRIFT * self.step}
        return [Probe(t=self.t, name="kl", step=self.step, v=values, n=32, facts={"moved": "'1' to '6': 9"})]

    def tokens(self) -> list[TokenBlock]:
        """The 6 is a fork of both and the 7 one of the policy's own, written twice as gladly as by the base."""
        own, base = np.log([0.5, 0.99, 0.5, 0.99]), np.log([0.5, 0.99, 0.25, 0.99])
        openness, apart = np.array([0.9, 0.01, 0.6, 0.02]), np.array([0.01, 0.0, 0.3, 0.0])
        return [
            TokenBlock(
                index=index,
                pieces=list(PIECES),
                logp=own.astype("<f4").tobytes(),
                base_logp=base.astype("<f4").tobytes(),
                entropy=openness.astype("<f4").tobytes(),
                js=apart.astype("<f4").tobytes(),
            )
            for index in (0, GROUP)
        ]

    def _generation(self) -> None:
        n = GROUP * GROUPS
        right = [1.0 if i % 2 else 0.0 for i in range(n)]
        self.rollouts.append(
            Block(
                step=self.step,
                phase="",
                prompts=[f"{i}+1=" for i in range(GROUPS)],
                group=[i // GROUP for i in range(n)],
                completions=["6=7+"] * n,
                rewards={"correct": right},
                reward=right,
                advantage=[1.0 if i < GROUP else -1.0 for i in range(n)],
                length=[4] * n,
                truncated=[False] * n,
                task=["sums"] * n,
                correct=right,
                tokens=self.tokens(),
            )
        )


def studied_run(root: Path, *, steps: int = 300, max_steps: int = 600) -> StudiedRun:
    run = StudiedRun(root, max_steps=max_steps)
    run.state("running")
    run.held_out()
    run.advance(steps)
    return run
