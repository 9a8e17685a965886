"""The instruments of one training, put together: a Transformers callback that records, measures and obeys.

A step's line in the journal is begun when the step ends, with what the instruments know, completed with the
trainer's own metrics when it logs, and written before anybody may hold the run. Commands take effect there:
after a step's update and its metrics, before the next generation.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
from transformers import TrainerCallback

from ..config import Checkpoints, Probes
from ..run.entries import Checkpoint, Metrics, Phase, finite
from ..run.facts import RunInfo
from ..run.layout import Layout
from .controls import Controls
from .curriculum import Curriculum, PhaseChange
from .generation import Generation
from .history import History
from .life import Life
from .measurements import Measurements
from .ranks import Ranks
from .recorder import Recorder
from .settings import Settings
from .steering import Steering
from .trl_bridge import TrlBridge


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Watches `trainer` into the run directory that `recorder` writes.

    Args:
        trainer: a TRL GRPOTrainer, not yet training.
        recorder: the run directory on the first rank, nothing on the others.
        settings: how closely to look.
        seed: of the instruments' own random state; the training's is never touched.
        checkpoints: how many checkpoints may be kept.
        curriculum: makes the prompts and says which phase is in force; None where the trainer's own dataset does.
    """

    def __init__(
        self,
        trainer: Any,
        recorder: Recorder,
        settings: Probes,
        seed: int = 0,
        curriculum: Curriculum | None = None,
        checkpoints: Checkpoints = Checkpoints(),  # noqa: B008 (immutable)
    ) -> None:
        self._trainer = trainer
        self._recorder = recorder
        self._curriculum = curriculum
        accelerator = trainer.accelerator
        self._ranks = Ranks(int(accelerator.num_processes), int(accelerator.process_index), accelerator.device)
        self._bridge = TrlBridge(trainer, self)
        self._bridge.source = curriculum.rows if curriculum else None
        self._measuring = Measurements(trainer, self._bridge, recorder, settings, seed, self._ranks)
        self._limits = checkpoints
        self._phase = ""
        self._row: dict[str, float | None] = {}
        self._why: dict[str, str] = {}
        self._pending: Metrics | None = None
        self._durations: dict[str, float] = defaultdict(float)
        self._began = time.perf_counter()
        self._waited = 0.0
        self._armed = False

    # What the bridge tells.

    def doing(self, activity: str) -> None:
        self._recorder.doing(activity)

    def took(self, what: str, seconds: float) -> None:
        self._durations[what] += seconds

    def generated(self, generation: Generation | None) -> None:
        """A generation has been scored: the moment when policy and completions belong together exactly.

        None where it could not be read on this rank; then no rank looks at it.
        """
        if not self._ranks.agree(generation is not None) or generation is None:
            self._bridge.current = None
            return
        self._measuring.generating_took(self._durations["generate"], len(generation.mask))
        self._measuring.before_update(generation)
        self._enter(generation.phase, generation.step)

    def failed(self, where: str, error: Exception) -> None:
        self._measuring.failed(where, error)

    # What Transformers tells.

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._take_the_wheel()
        model = self._bridge.model
        first = next(model.parameters())
        base = self._measuring.base

        def complete(info: RunInfo) -> RunInfo:
            return msgspec.structs.replace(
                info,
                trainer=type(self._trainer).__name__,
                model=info.model or str(getattr(model.config, "_name_or_path", "")),
                parameters=sum(p.numel() for p in model.parameters()),
                dtype=str(first.dtype).removeprefix("torch."),
                device=str(self._trainer.accelerator.device),
                world_size=self._ranks.world,
                max_steps=int(state.max_steps),
                versions={**info.versions, **_versions()},
                facts={
                    **info.facts,
                    "starting weights": f"kept in {base.precision}, {base.bytes / 1e6:.1f} MB" if base else "not kept",
                    "temperature": self._bridge.temperature,
                    "beta": float(getattr(self._trainer, "beta", 0.0)),
                    "num_generations": int(self._trainer.num_generations),
                },
            )

        plan = self._curriculum
        if plan is not None:
            self._measuring.stage_begins(0, plan.phase.name, plan.phase.tasks)
            if plan.phase.settings:
                self._put(plan.phase.settings)
        self._recorder.facts(complete)
        self._recorder.state("running", "generating")
        self._controls.tell_settings()
        self._began = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._flush()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = int(state.global_step)
        self._recorder.step = step
        generation = self._bridge.current
        whole = generation is not None and generation.complete
        done = generation if self._ranks.agree(whole) else None
        if done is not None:
            values, why = self._measuring.finish(done)
            self._row |= values
            self._why |= why
            self._bridge.current = None
        self._measuring.after_update(step, done)
        self._advance(step, done)
        self._recorder.doing("between steps")
        self._close_step(step)
        self._armed = self._controls.poll() or self._history.due(step)
        if self._armed:
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if self._pending is None:
            return
        told = {
            name: None if value is None else float(value)
            for name, value in (logs or {}).items()
            if (value is None or isinstance(value, int | float)) and self._applies(name)
        }
        values, why = finite({**told, **self._pending.v}, self._pending.why)
        self._pending = msgspec.structs.replace(self._pending, v=values, why=why)
        self._flush()
        if self._armed:
            self._armed = False
            if self._history.due(int(state.global_step)):
                self._history.keep("auto", int(state.global_step))
            before = int(state.global_step)
            self._waited += self._controls.safe_point()
            if self._controls.stopping:
                control.should_training_stop = True
                # What is sharded only the trainer itself knows how to save.
                control.should_save = bool(self._history.sharded)
                if not self._history.sharded:
                    self._history.keep("stop", int(state.global_step))
            elif state.global_step < before:
                # A run that has gone back from its last step goes on.
                control.should_training_stop = False

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0
        self._recorder.write(Checkpoint(t=time.time(), step=int(state.global_step), name=path.name, bytes=size))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = int(state.global_step)
        self._flush()
        self._controls.refuse_rest()
        self._measuring.at_end(step)
        if self._controls.stopping:
            self._recorder.state("stopped", why="by command")
        else:
            self._recorder.state("finished")

    # Keeping the books.

    def _close_step(self, step: int) -> None:
        now = time.perf_counter()
        waited, self._waited = self._waited, 0.0
        seconds = now - self._began - waited
        self._began = now
        self._recorder.clock.step_done()
        budget = self._measuring.budget
        spent = budget.step_done(seconds)
        generate, score = self._durations["generate"], self._durations["score"]
        self._durations.clear()
        self._row |= {
            "time/step": seconds,
            "time/generate": generate,
            "time/score": score,
            "time/probe": spent,
            "time/update": max(0.0, seconds - generate - score - spent),
            "time/wait": waited,
            "probes/share": budget.spent / budget.trained if budget.trained else None,
            "telemetry/lost": float(self._recorder.lost),
        }
        values, why = finite(self._row, self._why | (self._absent() if step <= 1 else {}))
        self._pending = Metrics(t=time.time(), step=step, v=values, why=why, phase=self._phase)
        self._row, self._why = {}, {}

    def _absent(self) -> dict[str, str]:
        """Why metrics of the standard panels do not apply to this run."""
        why: dict[str, str] = {}
        trainer = self._trainer
        if float(getattr(trainer, "beta", 0.0)) == 0.0:
            why["kl"] = "beta is 0, so TRL has no reference model and logs no kl; kl/base is measured instead"
        if not self._applies("clip_ratio/"):
            reason = "the ratio is 1 by construction: each generation is used for one update"
            why |= {f"clip_ratio/{part}": reason for part in ("low_mean", "high_mean", "region_mean")}
        if not getattr(trainer, "use_vllm", False):
            reason = "the trainer samples with the weights it trains: there is no separate sampler to differ from"
            sampling = (
                "sampling_logp_difference/mean",
                "sampling_logp_difference/max",
                "importance_sampling_ratio/mean",
            )
            why |= {f"sampling/{name}": reason for name in (*sampling, "importance_sampling_ratio/max", "ess")}
        return why | self._measuring.why_not

    def _applies(self, name: str) -> bool:
        """Whether a metric of TRL says anything: clip ratios are 0 whatever happens where the ratio is always 1."""
        return not (self._bridge.ratio_is_one and name.startswith("clip_ratio/"))

    def _flush(self) -> None:
        if self._pending is not None:
            self._recorder.write(self._pending)
            self._measuring.judge(self._pending)
            self._pending = None

    def _enter(self, phase: str, step: int) -> None:
        if phase and phase != self._phase:
            self._phase = phase
            plan = self._curriculum
            index, of, why = (plan.index, len(plan.phases), plan.why) if plan else (0, 1, "")
            self._recorder.write(Phase(t=time.time(), step=step, name=phase, index=index, of=of, why=why))

    def _advance(self, step: int, done: Generation | None) -> None:
        """See on the first rank whether the phase has ended, and let all ranks do the same."""
        plan = self._curriculum
        if plan is None:
            return
        meet, change, told = plan.advances, None, b""
        if self._ranks.mine == 0:
            # A generation that began under another phase says nothing about this one.
            seen = done if done is not None and done.phase == plan.phase.name else None
            change = plan.advance(step, seen.mean_reward if seen else None, self._measuring.entropy if seen else None)
            told = msgspec.json.encode(change) if change else b""
        if meet and (told := self._ranks.share(told)):
            change = change or msgspec.json.decode(told, type=PhaseChange)
            if self._ranks.mine != 0:
                plan.follow(change)
            self._measuring.stage_ends(step)
            self._measuring.stage_begins(step, plan.phase.name, plan.phase.tasks)
            self._put(change.settings)
            self._controls.tell_settings()

    def _put(self, settings: dict[str, float]) -> None:
        """Put a phase's settings in force; that one cannot be is told, and training goes on."""
        try:
            self._history.put(settings)
        except Exception as error:
            self._recorder.error("settings of a phase", error)

    def _take_the_wheel(self) -> None:
        """Make what obeys commands, now that optimizer and schedule are there."""
        trainer, base = self._trainer, self._measuring.base
        directory = self._recorder.directory
        told = self._ranks.share(str(Layout(directory).checkpoints.resolve()).encode() if directory else b"")
        settings = Settings(trainer, self._bridge, base, self._measuring.budget)
        if told:
            self._recorder.gives_sign(Life(Path(told.decode()).parent, self._ranks, self._recorder.clock))
        self._history = History(
            trainer,
            self._bridge,
            self._recorder,
            self._ranks,
            Path(told.decode()),
            self._limits,
            settings,
            base,
            self._curriculum,
        )
        steering = Steering(
            trainer, self._bridge, self._recorder, self._history, settings, base, self._curriculum, self._measuring
        )
        self._controls = Controls(self._recorder, self._ranks, steering, lambda: int(trainer.state.global_step))


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("torch", "transformers", "trl", "accelerate", "peft", "datasets"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
