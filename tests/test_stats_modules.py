"""Names of parameters as real architectures and real wrappers spell them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlpeaks_tui.stats.modules import KINDS, grid, place

NAMES = {
    # Llama, Qwen, Mistral, Gemma
    "model.embed_tokens.weight": (None, "embed"),
    "model.layers.0.self_attn.q_proj.weight": (0, "q"),
    "model.layers.11.self_attn.k_proj.bias": (11, "k"),
    "model.layers.11.self_attn.v_proj.weight": (11, "v"),
    "model.layers.11.self_attn.o_proj.weight": (11, "o"),
    "model.layers.3.self_attn.q_norm.weight": (3, "norm"),
    "model.layers.3.mlp.gate_proj.weight": (3, "gate"),
    "model.layers.3.mlp.up_proj.weight": (3, "up"),
    "model.layers.3.mlp.down_proj.weight": (3, "down"),
    "model.layers.3.input_layernorm.weight": (3, "norm"),
    "model.layers.3.post_attention_layernorm.weight": (3, "norm"),
    "model.layers.3.pre_feedforward_layernorm.weight": (3, "norm"),
    "model.norm.weight": (None, "norm"),
    "lm_head.weight": (None, "head"),
    # Phi-3, mixtures of experts
    "model.layers.3.self_attn.qkv_proj.weight": (3, "qkv"),
    "model.layers.3.mlp.gate_up_proj.weight": (3, "gate_up"),
    "model.layers.5.block_sparse_moe.experts.7.w1.weight": (5, "gate"),
    "model.layers.5.block_sparse_moe.experts.7.w2.weight": (5, "down"),
    "model.layers.5.block_sparse_moe.experts.7.w3.weight": (5, "up"),
    "model.layers.5.mlp.experts.7.down_proj.weight": (5, "down"),
    "model.layers.5.mlp.gate.weight": (5, "other"),
    # GPT-2
    "transformer.wte.weight": (None, "embed"),
    "transformer.wpe.weight": (None, "embed"),
    "transformer.h.2.ln_1.weight": (2, "norm"),
    "transformer.h.2.attn.c_attn.weight": (2, "qkv"),
    "transformer.h.2.attn.c_proj.bias": (2, "o"),
    "transformer.h.2.mlp.c_fc.weight": (2, "up"),
    "transformer.h.2.mlp.c_proj.weight": (2, "down"),
    "transformer.ln_f.bias": (None, "norm"),
    # NeoX
    "gpt_neox.embed_in.weight": (None, "embed"),
    "gpt_neox.layers.4.attention.query_key_value.weight": (4, "qkv"),
    "gpt_neox.layers.4.attention.dense.weight": (4, "o"),
    "gpt_neox.layers.4.mlp.dense_h_to_4h.weight": (4, "up"),
    "gpt_neox.layers.4.mlp.dense_4h_to_h.bias": (4, "down"),
    "gpt_neox.final_layer_norm.weight": (None, "norm"),
    "embed_out.weight": (None, "head"),
    # OPT
    "model.decoder.layers.6.self_attn.out_proj.weight": (6, "o"),
    "model.decoder.layers.6.fc1.weight": (6, "up"),
    "model.decoder.layers.6.fc2.weight": (6, "down"),
    # what wraps them
    "base_model.model.model.layers.8.self_attn.q_proj.lora_A.default.weight": (8, "q"),
    "base_model.model.model.layers.8.mlp.down_proj.base_layer.weight": (8, "down"),
    "base_model.model.lm_head.modules_to_save.default.weight": (None, "head"),
    "_fsdp_wrapped_module.model.layers.8._fsdp_wrapped_module.mlp.up_proj.weight": (8, "up"),
    # nothing known
    "weight": (None, "other"),
    "": (None, "other"),
    "conv1.kernel": (None, "other"),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_place(name, expected):
    assert place(name) == expected


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "base_model.model."])
def test_wrappers_make_no_difference(prefix):
    for name, expected in NAMES.items():
        assert place(prefix + name) == expected


def test_grid_is_in_display_order():
    names = [
        "lm_head.weight",
        *(n for n in NAMES if n.startswith("model.layers.")),
        "model.layers.2.mlp.up_proj.weight",
    ]
    layers, kinds = grid(names)
    assert layers == (0, 2, 3, 5, 11, None)
    assert kinds == ("q", "k", "v", "qkv", "o", "gate", "up", "gate_up", "down", "norm", "head", "other")
    assert grid([]) == ((), ())
    assert grid(["model.layers.1.mlp.up_proj.weight"]) == ((1,), ("up",))


@given(st.lists(st.text(alphabet="abchlnqw_.0123456789²", max_size=30)))
@example(["h.²", "layers.٣.mlp"])
def test_any_name_has_a_place_in_its_grid(names):
    layers, kinds = grid(names)
    for name in names:
        spot = place(name)
        assert spot.kind in KINDS
        assert spot.layer in layers
        assert spot.kind in kinds
