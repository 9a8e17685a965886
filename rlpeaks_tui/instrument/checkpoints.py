"""Checkpoints of a training that is not sharded: written whole or not at all, and read without running any
code.

They are in the layout of Transformers, so a model can be loaded from one, or a training resumed, without
this program. All ranks take part: the first writes, and each adds its random state.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
from msgspec import Struct
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ..run.checkpoints import MANIFEST, UNFINISHED, Manifest, make_room, read_manifest, sweep, whole_checkpoints
from ..run.layout import Layout
from .random_state import flat, random_state, unflat
from .ranks import Ranks

OPTIMIZER, SCHEDULER, RANDOM, REFERENCE = "optimizer.pt", "scheduler.pt", "random.safetensors", "reference.safetensors"
POLICY = "policy.safetensors"
"""Trained parameters by their own names, where the model's own file has other names."""
SPARE = 1.1
"""Room asked for beside the size of the last checkpoint, which was written by the same training."""


class CheckpointRefused(Exception):
    """A checkpoint cannot be written or read; the message says why."""


class Whole(Struct, frozen=True):
    """A checkpoint read into main memory. Tensors of `weights` are by parameter name, of what is trained."""

    manifest: Manifest
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    random: dict[str, torch.Tensor]
    reference: dict[str, torch.Tensor] | None


class CheckpointStore:
    """Writes and reads the checkpoints of one training.

    Args:
        trainer: a Transformers trainer whose weights are not sharded.
        folder: the run's folder of checkpoints, the same on every rank.
        limit: bytes that all checkpoints may take; 0 sets no limit.
        ranks: all of them call `save` and `load` together.
    """

    def __init__(self, trainer: Any, folder: Path, limit: int, ranks: Ranks) -> None:
        self._trainer = trainer
        self._layout = Layout(folder.parent)
        self._limit = limit
        self._ranks = ranks
        self._last_bytes = 0
        if ranks.mine == 0:
            # A folder that cannot be made refuses the first checkpoint, with the reason, and not the training.
            with contextlib.suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
            sweep(self._layout)

    @property
    def _adapters(self) -> bool:
        """Whether only adapters are saved, and not the model under them."""
        return hasattr(self._trainer.accelerator.unwrap_model(self._trainer.model), "peft_config")

    @property
    def names(self) -> list[str]:
        """Whole checkpoints, oldest first."""
        return list(whole_checkpoints(self._layout))

    def free_name(self, wanted: str) -> str:
        """`wanted`, with a number behind it when it is taken; only the first rank, which writes, looks."""
        if self._ranks.mine != 0:
            return wanted
        name, number = wanted, 2
        while (self._layout.checkpoints / name).exists():
            name, number = f"{wanted}-{number}", number + 1
        return name

    def save(self, draft: Manifest, reference: dict[str, torch.Tensor] | None, needed: set[str]) -> Manifest:
        """Write a checkpoint of this moment.

        Args:
            draft: what to say of it; files and ranks are filled in.
            reference: the reference's weights, where they are no longer those of the start.
            needed: checkpoints that must not be deleted to make room.

        Raises:
            CheckpointRefused: there is no room, or the name is taken.
            OSError: the disk refuses.
            FailedElsewhere: another rank could not do its part.
        """
        states = self._ranks.exchange(lambda: flat(random_state()))  # [ranks, bytes]
        written: Manifest | None = None

        def write() -> torch.Tensor:
            nonlocal written
            if self._ranks.mine == 0:
                written = read_manifest(self._write(draft, reference, needed, states))
                if written is None:
                    raise OSError("the checkpoint that was just written cannot be read back whole")
            return torch.zeros(1)

        self._ranks.exchange(write)
        # What the first rank has read back is what all go by: another may look at its disk a moment too early.
        told = self._ranks.share(msgspec.json.encode(written) if written is not None else b"")
        manifest = msgspec.json.decode(told, type=Manifest)
        self._last_bytes = manifest.bytes
        return manifest

    def _write(
        self, draft: Manifest, reference: dict[str, torch.Tensor] | None, needed: set[str], states: torch.Tensor
    ) -> Path:
        trainer, name = self._trainer, draft.name
        place = self._layout.checkpoints / name
        if place.exists():
            raise CheckpointRefused(f"there is a checkpoint {name!r} already")
        self._room(needed)
        aside = self._layout.checkpoints / f"{UNFINISHED}{name}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        try:
            trainer.save_model(str(aside), _internal_call=True)
            model = trainer.accelerator.unwrap_model(trainer.model)
            try:
                read_weights(aside, model)
            except CheckpointRefused:
                # Some models are saved under other names than their parameters have.
                own = {n: p.detach().cpu().contiguous() for n, p in model.named_parameters() if p.requires_grad}
                save_file(own, aside / POLICY)
            torch.save(trainer.optimizer.state_dict(), aside / OPTIMIZER)
            torch.save(trainer.lr_scheduler.state_dict(), aside / SCHEDULER)
            save_file({"states": states.to("cpu", torch.uint8).contiguous()}, aside / RANDOM)
            if reference is not None:
                save_file({n: t.detach().cpu().contiguous() for n, t in reference.items()}, aside / REFERENCE)
            trainer.state.save_to_json(str(aside / "trainer_state.json"))
            files = {path.name: path.stat().st_size for path in aside.iterdir() if path.is_file()}
            manifest = msgspec.structs.replace(
                draft, world_size=self._ranks.world, files=files, reference=reference is not None
            )
            (aside / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            for path in [*aside.iterdir(), aside]:
                _to_disk(path)
            aside.rename(place)
            _to_disk(place.parent)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return place

    def _room(self, needed: set[str]) -> None:
        coming = int(SPARE * (self._last_bytes or self._expected()))
        free = shutil.disk_usage(self._layout.checkpoints).free
        if coming > free:
            raise CheckpointRefused(f"a checkpoint takes about {_size(coming)}, and the disk has {_size(free)} left")
        if self._limit and make_room(self._layout, coming, self._limit, needed) is None:
            raise CheckpointRefused(
                f"a checkpoint takes about {_size(coming)}, and checkpoints.limit_gb allows {_size(self._limit)} for "
                "all of them; raise it, or remove some that are no longer wanted"
            )

    def _expected(self) -> int:
        """Bytes of a first checkpoint: the weights, and two moments of each weight that is trained."""
        parameters = [p for p in self._trainer.model.parameters() if p.requires_grad or not self._adapters]
        weights = sum(p.numel() * p.element_size() for p in parameters)
        return int(weights + sum(2 * p.numel() * p.element_size() for p in parameters if p.requires_grad))

    def manifest(self, name: str) -> Manifest:
        """The manifest of a whole checkpoint.

        Raises:
            CheckpointRefused: there is no such checkpoint, or it is not whole.
        """
        manifest = read_manifest(self._layout.checkpoints / name)
        if manifest is None:
            there = ", ".join(self.names[-5:]) or "none yet"
            raise CheckpointRefused(f"there is no whole checkpoint {name!r}; there are: {there}")
        return manifest

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Trained weights of a checkpoint by parameter name, in main memory.

        Raises:
            CheckpointRefused: it is not whole, or is of another model.
        """
        self.manifest(name)
        return read_weights(
            self._layout.checkpoints / name, self._trainer.accelerator.unwrap_model(self._trainer.model)
        )

    def load(self, name: str) -> Whole:
        """A whole checkpoint, in main memory; nothing of the training is changed.

        Raises:
            CheckpointRefused: it is not whole, or belongs to another model or number of ranks.
        """
        manifest, folder = self.manifest(name), self._layout.checkpoints / name
        if manifest.world_size != self._ranks.world:
            raise CheckpointRefused(
                f"{name} was written by {manifest.world_size} ranks, and there are {self._ranks.world} now"
            )
        states = load_file(folder / RANDOM)["states"]
        return Whole(
            manifest=manifest,
            weights=self.weights(name),
            optimizer=torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True),
            scheduler=torch.load(folder / SCHEDULER, map_location="cpu", weights_only=True),
            random=unflat(states[self._ranks.mine]),
            reference=load_file(folder / REFERENCE) if manifest.reference else None,
        )


def read_weights(folder: Path, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights of everything trained in `model`, from a folder in the layout of Transformers or PEFT.

    Raises:
        CheckpointRefused: a weight is missing or has another shape.
    """
    patterns = (POLICY, "model*.safetensors", "adapter_model.safetensors")
    files = next((paths for pattern in patterns if (paths := sorted(folder.glob(pattern)))), [])
    stored: dict[str, torch.Tensor] = {}
    for path in files:
        with safe_open(path, framework="pt") as file:
            stored |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    wanted = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    found = {name: stored.get(name, stored.get(_without_adapter(name, model))) for name in wanted}
    for name, parameter in wanted.items():
        tensor = found[name]
        if tensor is None or tensor.shape != parameter.shape:
            what = "is missing" if tensor is None else f"has the shape {tuple(tensor.shape)}"
            raise CheckpointRefused(f"{folder.name} is of another model: {name} {what}")
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _without_adapter(name: str, model: torch.nn.Module) -> str:
    """A parameter's name as PEFT writes it: the adapter's own name is left out."""
    for adapter in getattr(model, "peft_config", {}):
        name = name.replace(f".{adapter}.", ".").removesuffix(f".{adapter}")
    return name


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
