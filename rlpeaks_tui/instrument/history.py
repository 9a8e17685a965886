"""The way back: checkpoints of this training, changes that are made on all ranks or on none, and branches.

A change has two halves. The first looks and prepares: it may refuse or fail, and has changed nothing. Ranks
then tell each other whether it worked. Before the second half, which changes, a checkpoint is written: to it
all ranks return should the change fail on any of them, and with it the change can be undone later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from msgspec import Struct, field

from ..config import Checkpoints
from ..run.branches import TRUNK, Node, nodes_of
from ..run.checkpoints import Manifest, Origin
from ..run.entries import Branch, Checkpoint
from .checkpoints import CheckpointStore, Whole
from .curriculum import Curriculum
from .policy import put_weights, put_whole, tensors_of
from .ranks import Ranks
from .recorder import Recorder
from .settings import SettingRefused, Settings
from .starting_weights import StartingWeights, is_sharded
from .trl_bridge import TrlBridge

UNDOABLE = 8
"""Commands that can be undone, the newest first."""


class Refused(Exception):
    """A command cannot be applied here; nothing was changed."""


class PutBack(Exception):
    """A change failed half way, and everything was put back."""


class Way(Struct, frozen=True):
    """The way back from one command: to a checkpoint, or to settings and the curriculum as they were."""

    verb: str
    checkpoint: str = ""
    settings: dict[str, float] = field(default_factory=dict)
    curriculum: dict[str, Any] | None = None
    rate_factor: float = 1.0
    """By which the learning rate has to be multiplied to be what it would have been."""


class History:
    """Keeps what one training can go back to. All ranks call its methods together.

    Args:
        trainer: a TRL online trainer.
        bridge: the same, as the instruments see it.
        recorder: where checkpoints and branches are journaled.
        ranks: who takes part.
        folder: the run's checkpoints, on every rank.
        limits: how many checkpoints may be kept.
        settings: what can be set.
        base: the starting weights, or None where they are not kept.
        curriculum: None where the trainer has none.
    """

    def __init__(
        self,
        trainer: Any,
        bridge: TrlBridge,
        recorder: Recorder,
        ranks: Ranks,
        folder: Path,
        limits: Checkpoints,
        settings: Settings,
        base: StartingWeights | None,
        curriculum: Curriculum | None,
    ) -> None:
        self._trainer = trainer
        self._bridge = bridge
        self._recorder = recorder
        self._ranks = ranks
        self._store = CheckpointStore(trainer, folder, int(limits.limit_gb * 1e9), ranks)
        self._every = limits.every
        self._settings = settings
        self._base = base
        self._curriculum = curriculum
        self._branches: list[Branch] = []
        self._checkpoints: list[Checkpoint] = []
        self._branched_from: set[str] = set()
        self.ways: list[Way] = []
        self.reference_moved = bool(getattr(trainer.args, "sync_ref_model", False))
        """Whether the reference no longer has the weights of the start."""
        sharded = is_sharded(bridge.model)
        plugin = getattr(trainer, "is_deepspeed_enabled", False) or getattr(trainer, "is_fsdp_enabled", False)
        why = "the weights are sharded over ranks, and commands cannot put those back yet"
        self.sharded = why if sharded or plugin else ""
        """Why there are no checkpoints here, or empty."""

    @property
    def branch(self) -> str:
        """The name of the present one."""
        return self._branches[-1].name if self._branches else TRUNK

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The branches so far, as a tree; the last one is the present."""
        return nodes_of(self._branches, self._checkpoints)

    # Checkpoints.

    def due(self, step: int) -> bool:
        """Whether `checkpoints.every` asks for a checkpoint after this step."""
        return bool(self._every) and not self.sharded and step % self._every == 0

    def keep(self, origin: Origin, step: int) -> None:
        """Write a checkpoint that no command asked for; that it cannot be written is told, and training goes on."""
        try:
            self.save("", origin, step)
        except Exception as error:
            self._recorder.error("checkpoint", error)

    def save(self, name: str, origin: Origin, step: int) -> Manifest:
        """Write a checkpoint of this moment; without a name it gets one that says why and when.

        Raises:
            Refused, CheckpointRefused, OSError, FailedElsewhere: it cannot be written.
        """
        self.demand_whole_weights()
        # Not "checkpoint": Transformers deletes the oldest folders of that name where a limit on them is set.
        stem = "step" if origin == "hand" else origin
        draft = Manifest(
            name=name or self._store.free_name(f"{stem}-{step}"),
            step=step,
            created=time.time(),
            origin=origin,
            branch=self.branch,
            world_size=self._ranks.world,
            micro_step=self._bridge.micro_step,
            files={},
            settings=self._settings.values,
            curriculum=self._curriculum.state() if self._curriculum else {},
        )
        reference = self._bridge.reference
        # A reference with the weights of the start need not be written: the start is kept anyway.
        kept = None if reference is None or not (self.reference_moved or self._base is None) else tensors_of(reference)
        needed = {way.checkpoint for way in self.ways} | self._branched_from
        saved = self._store.save(draft, kept, needed)
        self._checkpoints.append(Checkpoint(t=saved.created, step=step, name=saved.name, bytes=saved.bytes))
        self._recorder.write(self._checkpoints[-1])
        return saved

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Trained weights of a checkpoint by parameter name. Raises CheckpointRefused."""
        return self._store.weights(name)

    # Changes.

    def change(self, verb: str, prepare: Callable[[], None], change: Callable[[], None], step: int) -> None:
        """Prepare on all ranks, write what is needed to undo, and change on all.

        Raises:
            Refused, CheckpointRefused, FailedElsewhere, Exception: before anything was changed.
            PutBack: the change failed on some rank, and all are as they were.
        """
        self.demand_whole_weights()
        self._ranks.exchange(lambda: _done(prepare))
        back = self.save("", "undo", step)
        try:
            self._ranks.exchange(lambda: _done(change))
        except Exception as error:
            self._ranks.exchange(lambda: _done(lambda: self._restore(self._store.load(back.name))))
            raise PutBack(f"{type(error).__name__}: {error}; everything was put back") from error
        self.remember(Way(verb, checkpoint=back.name))

    def put(self, values: dict[str, float]) -> dict[str, float]:
        """Put settings in force on all ranks, or on none; gives those before.

        Raises:
            SettingRefused, PutBack: a value cannot be put in force, and all are as they were.
        """
        before = {name: self._settings.values[name] for name in values}
        try:
            self._ranks.exchange(lambda: _done(lambda: self._settings.put(values)))
        except Exception as error:
            self._settings.put(before)
            if isinstance(error, SettingRefused):
                raise
            raise PutBack(f"{type(error).__name__}: {error}; everything was put back") from error
        return before

    def remember(self, way: Way) -> None:
        """Add the way back from a command that was just applied."""
        self.ways.append(way)
        del self.ways[:-UNDOABLE]

    def go_back(self, verb: str, name: str, step: int) -> tuple[int, str]:
        """Everything back to a checkpoint, as a branch of its own; gives its step and the branch's name.

        Raises:
            As `change`.
        """
        whole: Whole | None = None

        def prepare() -> None:
            nonlocal whole
            whole = self._store.load(name)

        def change() -> None:
            assert whole is not None
            self._restore(whole)

        # It must not be deleted to make room for the way back from here.
        self._branched_from.add(name)
        self.change(verb, prepare, change, step)
        assert whole is not None
        at = whole.manifest.step
        if at != step:
            branch, now = f"branch-{len(self._branches) + 2}", time.time()
            self._branches.append(Branch(t=now, name=branch, parent=self.branch, step=step, at=at, checkpoint=name))
            self._recorder.write(self._branches[-1])
        self._recorder.step = at
        return at, self.branch

    def demand_whole_weights(self) -> None:
        """Raise Refused where the weights are sharded."""
        if self.sharded:
            raise Refused(self.sharded)

    def _restore(self, whole: Whole) -> None:
        """Everything as it was when the checkpoint was written."""
        manifest, reference = whole.manifest, self._bridge.reference
        put_whole(self._trainer, self._bridge.model, whole)
        if reference is not None:
            if whole.reference is not None:
                put_weights(reference, whole.reference)
            elif self.reference_moved and self._base is not None:
                put_weights(reference, self._base.tensors)
        self.reference_moved = whole.reference is not None
        # The learning rate came back with the optimizer and its schedule.
        offered = self._settings.values
        self._settings.put({n: v for n, v in manifest.settings.items() if n in offered and n != "learning_rate"})
        if self._curriculum is not None:
            self._curriculum.restore(manifest.curriculum)
        self._bridge.go_to(manifest.step, manifest.micro_step)


def _done(work: Callable[[], object]) -> torch.Tensor:
    work()
    return torch.zeros(1)
