"""Every global random state of a process as one vector of bytes, so that ranks can exchange it and a file can
hold it without pickle.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

_NAMES = ("python", "python_gauss", "numpy", "numpy_rest", "cpu", "cuda")
_TYPES = dict(zip(_NAMES, (torch.int64, torch.float64) * 2 + (torch.uint8,) * 2, strict=True))


def random_state() -> dict[str, torch.Tensor]:
    """Every global random state of this process, as tensors of fixed size."""
    version, python, gauss = random.getstate()
    legacy: Any = np.random.get_state()
    kind, array, position, has_gauss, cached = legacy
    if (version, kind) != (3, "MT19937"):
        raise ValueError(f"a random state of the kind {kind} cannot be kept")
    states = {
        "python": torch.tensor(python, dtype=torch.int64),
        "python_gauss": torch.tensor([float("nan") if gauss is None else gauss], dtype=torch.float64),
        "numpy": torch.from_numpy(np.asarray(array).astype(np.int64)),
        "numpy_rest": torch.tensor([position, has_gauss, cached], dtype=torch.float64),
        "cpu": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def put_random_state(states: dict[str, torch.Tensor]) -> None:
    """Put back what `random_state` took."""
    gauss = float(states["python_gauss"])
    random.setstate((3, tuple(states["python"].tolist()), None if gauss != gauss else gauss))
    position, has_gauss, cached = states["numpy_rest"].tolist()
    array = states["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", array, int(position), int(has_gauss), cached))
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def flat(states: dict[str, torch.Tensor]) -> torch.Tensor:
    """uint8[n], the same n on every rank: for each state its number of bytes, then the bytes of all."""
    parts = [
        states[name].contiguous().view(torch.uint8) if name in states else torch.empty(0, dtype=torch.uint8)
        for name in _NAMES
    ]
    sizes = torch.tensor([len(part) for part in parts], dtype=torch.int64).view(torch.uint8)
    return torch.cat([sizes, *parts])


def unflat(raw: torch.Tensor) -> dict[str, torch.Tensor]:
    head = 8 * len(_NAMES)
    sizes: list[int] = raw[:head].clone().view(torch.int64).tolist()
    if sum(sizes) != len(raw) - head or min(sizes) < 0:
        raise ValueError("the random state of the checkpoint is damaged")
    parts = torch.split(raw[head:], sizes)
    return {name: part.clone().view(_TYPES[name]) for name, part in zip(_NAMES, parts, strict=True) if len(part)}
