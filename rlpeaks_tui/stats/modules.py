"""Where in a transformer a parameter sits, read off its name, so that a heatmap can have layers and kinds.

Names come from whatever model is trained and whatever wraps it (PEFT, DDP, FSDP, torch.compile), so a name is
split at its dots and read from the right: the first component that is known decides, and wrappers are never met.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

KINDS = ("q", "k", "v", "qkv", "o", "gate", "up", "gate_up", "down", "norm", "embed", "head", "other")
"""Every kind, in the order in which they are shown. `qkv` and `gate_up` are fused projections."""

_KIND_OF = {
    name: kind
    for kind, names in {
        "q": "q_proj query wq",
        "k": "k_proj key wk",
        "v": "v_proj value wv",
        "qkv": "c_attn query_key_value qkv_proj Wqkv",
        "o": "o_proj out_proj wo",
        "gate": "gate_proj w1",
        "up": "up_proj c_fc fc1 dense_h_to_4h w3 fc_in",
        "gate_up": "gate_up_proj",
        "down": "down_proj fc2 dense_4h_to_h w2 fc_out",
        "embed": "embed_tokens wte wpe embed_in embed_positions word_embeddings tok_embeddings embeddings",
        "head": "lm_head embed_out score",
    }.items()
    for name in names.split()
}

# These name the output projection of whichever block they stand in.
_OUTPUT = {"c_proj", "dense", "proj"}
_ATTENTION = re.compile(r"attn|attention")
_MLP = re.compile(r"mlp|feed_forward|ffn|expert")
_NORM = re.compile(r"norm|^ln(_|\d|$)")
_STACK = {"layers", "h", "blocks", "layer", "block"}


class Place(NamedTuple):
    """Where a parameter sits.

    Attributes:
        layer: index of its transformer layer; None outside the stack (embeddings, final norm, head).
        kind: one of KINDS.
    """

    layer: int | None
    kind: str


@lru_cache(maxsize=8192)
def place(parameter_name: str) -> Place:
    """The layer and kind of a parameter named as Llama, Qwen, Mistral, Gemma, Phi, GPT-2, NeoX or OPT do.

    Prefixes of wrappers, adapter components and `.weight` or `.bias` make no difference. A name that says
    nothing known has kind "other".
    """
    parts = parameter_name.split(".")
    layer = next(
        (int(index) for stack, index in pairwise(parts) if stack in _STACK and index.isdecimal()),
        None,
    )
    for position in range(len(parts) - 1, -1, -1):
        part = parts[position]
        if kind := _KIND_OF.get(part):
            return Place(layer, kind)
        if _NORM.search(part):
            return Place(layer, "norm")
        if part in _OUTPUT:
            block = ".".join(parts[:position])
            if _MLP.search(block):
                return Place(layer, "down")
            if _ATTENTION.search(block):
                return Place(layer, "o")
    return Place(layer, "other")


def grid(names: Iterable[str]) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
    """The rows and columns that hold all `names`.

    Returns:
        Layers rising, with None (outside the stack) last, and the kinds that occur, in the order of KINDS.
    """
    places = {place(name) for name in names}
    inside = sorted({spot.layer for spot in places if spot.layer is not None})
    outside: tuple[None, ...] = (None,) if any(spot.layer is None for spot in places) else ()
    kinds = {spot.kind for spot in places}
    return (*inside, *outside), tuple(kind for kind in KINDS if kind in kinds)
