"""Run by two processes: a measurement fails on one rank only, and both ranks must get over it.

`torchrun --nproc_per_node 2 tests/exchange.py FOLDER`: each rank writes what it saw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from rlpeaks_tui.instrument.ranks import FailedElsewhere, Ranks


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    ranks = Ranks(dist.get_world_size(), rank, torch.device("cpu"))
    seen = []
    for failing in (1, 0, None):

        def compute(failing: int | None = failing) -> torch.Tensor:
            if failing == rank:
                raise ZeroDivisionError("on purpose")
            return torch.tensor([rank, float("nan")], dtype=torch.float64)

        try:
            seen.append(str(ranks.exchange(compute)[:, 0].tolist()))
        except (ZeroDivisionError, FailedElsewhere) as error:
            seen.append(f"{type(error).__name__}: {error}")
    seen.append(str(ranks.decide([rank == 0, rank == 1])))
    seen.append(ranks.share(b"from the first" if rank == 0 else b"mine").decode())
    seen.append(ranks.share(b"" if rank == 0 else b"mine").decode())
    (folder / f"{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
