"""Run by two processes: a sharded model is changed a little, and each rank tells what the update probe
finds.

`torchrun --nproc_per_node 2 tests/sharded.py OUT`: with FSDP2 on CPU over gloo. Rank 0 writes what it found
and what a whole copy of the same model says.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from msgspec.structs import asdict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from rlpeaks_tui.instrument.probes.update import as_table, measure_update, of_all_ranks
from rlpeaks_tui.instrument.ranks import Ranks
from rlpeaks_tui.instrument.starting_weights import StartingWeights, reshard


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(33, 17), torch.nn.ReLU(), torch.nn.Linear(17, 5))


def change(net: torch.nn.Module) -> None:
    """Add a tenth of the weights' precision here and there, the same whichever way the model lies."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1 + 2e-3)


def main(out: Path) -> None:
    dist.init_process_group("gloo")
    whole, sharded = model(), model()
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    fully_shard(sharded, mesh=mesh)
    base, base_whole = StartingWeights(sharded), StartingWeights(whole)
    x = torch.linspace(-1, 1, 66).view(2, 33)
    start = sharded(x).detach()
    reshard(sharded)
    change(sharded)
    change(whole)
    moved = sharded(x).detach()
    shards = measure_update(sharded, base, np.random.default_rng(0))
    ranks = Ranks(dist.get_world_size(), dist.get_rank(), torch.device("cpu"))
    names = list(base.tensors)
    found = of_all_ranks(ranks.exchange(lambda: as_table(shards, names)), names)
    with base.lent_to(sharded):
        lent = sharded(x).detach()
    after = sharded(x).detach()
    local = {name: tensor.numel() for name, tensor in base.tensors.items()}
    if dist.get_rank() == 0:
        expected = measure_update(whole, base_whole, np.random.default_rng(0))
        told = {
            "found": [asdict(m) for m in found],
            "expected": [asdict(m) for m in expected],
            "local": local,
            "lent_is_start": torch.allclose(lent, start, atol=1e-6),
            "back_again": torch.equal(after, moved) and not torch.allclose(moved, start, atol=1e-6),
        }
        out.write_text(json.dumps(told))
    dist.destroy_process_group()
    # A thread of torch that still ends while the interpreter does would abort the process, now and then.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
