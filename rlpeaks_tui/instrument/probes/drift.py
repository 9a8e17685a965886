"""How straight the weights move: a fixed sample of coordinates, followed from probe to probe."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...stats.drift import straightness, window_cosines
from ..starting_weights import StartingWeights, local

COORDINATES = 100_000
ENOUGH = 3
KEPT = 64
"""Probes that are looked back over."""


class Drift:
    """Displacements from the starting weights at up to `COORDINATES` random places, one row a probe."""

    def __init__(self, model: nn.Module, base: StartingWeights, seed: int) -> None:
        self._model = model
        self._base = base
        rng = np.random.default_rng(seed)
        sizes = {name: tensor.numel() for name, tensor in base.tensors.items()}
        share = min(1.0, COORDINATES / max(1, sum(sizes.values())))
        self._places = {
            name: torch.from_numpy(rng.choice(size, max(1, int(size * share)), replace=False))
            for name, size in sizes.items()
            if size
        }
        self._steps: list[int] = []
        self._rows: list[NDArray[np.float32]] = []

    def add(self, step: int) -> None:
        """Look at the weights as they are after `step`."""
        parameters = dict(self._model.named_parameters())
        parts = []
        for name, places in self._places.items():
            now = local(parameters[name]).reshape(-1)[places.to(local(parameters[name]).device)]
            parts.append(now.float().cpu() - self._base.tensors[name].reshape(-1)[places].float())
        self._steps.append(step)
        self._rows.append(torch.cat(parts).numpy())
        del self._steps[:-KEPT], self._rows[:-KEPT]

    def went_back(self, step: int) -> None:
        """Forget what was seen after `step`, which the training has gone back to."""
        while self._steps and self._steps[-1] > step:
            del self._steps[-1], self._rows[-1]

    def metrics(self) -> dict[str, float | None]:
        if len(self._steps) < ENOUGH:
            return {"drift/straightness": None, "drift/cosine": None}
        rows = np.stack(self._rows)
        cosines = window_cosines(rows)
        last = float(cosines[-1]) if len(cosines) else None
        return {"drift/straightness": straightness(self._steps, rows).r2, "drift/cosine": last}

    def reasons(self) -> dict[str, str]:
        if len(self._steps) >= ENOUGH:
            return {}
        return dict.fromkeys(("drift/straightness", "drift/cosine"), "needs three probes of the weights")
