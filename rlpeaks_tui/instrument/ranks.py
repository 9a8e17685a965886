"""How the ranks of one training put together what each of them knows.

A collective that one rank never reaches holds up all others for as long as the process group allows, which
is the training itself. So whatever can fail is computed before ranks meet, they first tell each other
whether it did, and only exchange when nobody failed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


class FailedElsewhere(RuntimeError):
    """This rank was ready, another one was not."""


class Ranks:
    """The ranks of one training.

    Args:
        world: how many there are.
        mine: the number of this one.
        device: where tensors have to lie to be sent.
    """

    def __init__(self, world: int, mine: int, device: torch.device) -> None:
        self.world = world
        self.mine = mine
        self._device = device

    @property
    def gpu(self) -> int | None:
        """The number of this rank's CUDA device; None where it trains on something else."""
        return (self._device.index or 0) if self._device.type == "cuda" else None

    def exchange(self, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """[ranks, ...] what `compute` gives on each rank, which must have the same shape and type everywhere.

        Raises:
            FailedElsewhere: `compute` raised on another rank; what it raises on this one comes through as it is.
        """
        if self.world == 1:
            return compute()[None]
        part, failure = torch.zeros(0), None
        try:
            part = compute().to(self._device)
        except Exception as error:
            failure = error
        failed = torch.zeros(self.world, dtype=torch.uint8, device=self._device)
        failed[self.mine] = failure is not None
        torch.distributed.all_reduce(failed)
        if failure is not None:
            raise failure
        if failed.any():
            ranks = ", ".join(str(rank) for rank in failed.nonzero().flatten().tolist())
            raise FailedElsewhere(f"the measurement failed on rank {ranks}, so no rank could finish it")
        parts = [torch.empty_like(part) for _ in range(self.world)]
        torch.distributed.all_gather(parts, part.contiguous())
        return torch.stack(parts)

    def agree(self, ready: bool) -> bool:
        """Whether every rank says so."""
        if self.world == 1:
            return ready
        flag = torch.tensor([ready], dtype=torch.uint8, device=self._device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MIN)
        return bool(flag)

    def decide(self, flags: list[bool]) -> list[bool]:
        """What the first rank says; the others' flags are ignored."""
        if self.world == 1:
            return flags
        told = torch.tensor(flags, dtype=torch.uint8, device=self._device)
        torch.distributed.broadcast(told, src=0)
        return [bool(flag) for flag in told.tolist()]

    def share(self, payload: bytes) -> bytes:
        """The first rank's bytes, on every rank; nothing costs one small message."""
        if self.world == 1:
            return payload
        size = torch.tensor([len(payload)], device=self._device)
        torch.distributed.broadcast(size, src=0)
        if not int(size):
            return b""
        box = torch.zeros(int(size), dtype=torch.uint8, device=self._device)
        if self.mine == 0:
            box.copy_(torch.frombuffer(bytearray(payload), dtype=torch.uint8))
        torch.distributed.broadcast(box, src=0)
        return bytes(box.cpu().tolist())
