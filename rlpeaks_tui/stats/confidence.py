"""Where confidence comes from: three sources, which mean different things and only happen to be called alike.

What a completion states, the mean probability that the policy gave its own tokens, and the share of its group that came
to the same answer. The training process journals calibration by these names and a viewer takes it apart by them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rlpeaks_tui.stats.groups import agreement_confidence
from rlpeaks_tui.stats.summaries import Floats
from rlpeaks_tui.stats.texts import answers

STATED = "stated confidence"
TOKENS = "mean token probability"
AGREEMENT = "agreement of the group"
SOURCES = (STATED, TOKENS, AGREEMENT)
"""The best first: the first that a run has is its main one, journaled as `calibration/ece`."""
METRIC = {TOKENS: "calibration/tokens/ece", AGREEMENT: "calibration/agreement/ece"}
"""Under which name the error of a source is journaled that is not the main one."""


def confidence_by_source(
    stated: ArrayLike, logp: ArrayLike, length: ArrayLike, completions: Sequence[str], group: ArrayLike
) -> dict[str, Floats]:
    """The confidence of each completion of one generation by every source, shape [n] each; nan where there is none.

    Args:
        stated: as the completion states it, shape [n].
        logp: log-probability of the whole completion under the policy that wrote it, nats, shape [n].
        length: its tokens, shape [n].
        completions: n texts.
        group: label of the group that each belongs to, shape [n].
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        per_token = np.exp(np.minimum(0.0, np.asarray(logp, np.float64) / np.asarray(length, np.float64)))
    said = [found[-1] if (found := answers(text)) else None for text in completions]
    values = (np.array(stated, np.float64), per_token, agreement_confidence(said, group))
    return dict(zip(SOURCES, values, strict=True))
