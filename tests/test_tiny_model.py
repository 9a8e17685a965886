"""The bundled base model: that it loads like any other, is what its card says, and that its program makes it again."""

from __future__ import annotations

import json
import string
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from trainers.formats import ALPHABET, FORMATS
from trainers.measure import complete, table
from trainers.pretrain import BATCH, PEAK_RATE, STEPS, learning_rate, make_batch, make_tokenizer, pretrain
from trainers.tasks import TASKS, format_of, score

MODEL = Path(__file__).parents[1] / "trainers" / "tiny_arith"
ROOM_TO_GROW = "times_digit"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(MODEL).eval()


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return dict(json.loads((MODEL / "measured.json").read_text()))


def test_it_is_small_and_in_float32(model: Any, measured: dict[str, Any]) -> None:
    assert (MODEL / "model.safetensors").stat().st_size < 2_000_000
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert 200_000 <= model.num_parameters() == measured["parameters"] <= 490_000


@given(st.text(alphabet=ALPHABET, max_size=48))
def test_a_text_comes_back_from_the_tokenizer_character_for_character(text: str) -> None:
    tokenizer = make_tokenizer()
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text


def test_the_saved_tokenizer_is_the_one_that_is_made(tokenizer: Any) -> None:
    assert tokenizer.get_vocab() == make_tokenizer().get_vocab()
    assert tokenizer("37+58=")["input_ids"] == make_tokenizer()("37+58=")["input_ids"]
    assert tokenizer.decode(tokenizer("C4+7=11,3+5+1=9:91?9$")["input_ids"]) == "C4+7=11,3+5+1=9:91?9$"


def test_special_tokens_are_set_and_none_is_added_to_a_prompt(tokenizer: Any, model: Any) -> None:
    for made in (tokenizer, make_tokenizer()):
        assert (made.eos_token, made.bos_token, made.padding_side) == ("$", None, "left")
    ids = tokenizer("37+58=")["input_ids"]
    assert len(ids) == 6 and tokenizer.eos_token_id not in ids
    for config in (model.config, model.generation_config):
        assert (config.eos_token_id, config.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
        assert config.bos_token_id is None
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_a_character_outside_the_alphabet_is_an_error_and_not_a_blank(tokenizer: Any) -> None:
    assert "x" in set(string.printable) - set(ALPHABET)
    with pytest.raises(Exception, match="UNK"):
        tokenizer("3x4=")


def test_padding_on_the_left_changes_nothing(model: Any, tokenizer: Any) -> None:
    prompts = ["8+29=", "86+12+54=", "60*9="]
    together, _, _ = complete(model, tokenizer, prompts, 1, greedy=True)
    alone = [complete(model, tokenizer, [prompt], 1, greedy=True)[0][0] for prompt in prompts]
    assert together == alone


def test_greedy_accuracy_leaves_room_to_grow(model: Any, tokenizer: Any) -> None:
    problems = TASKS[ROOM_TO_GROW].heldout(64)
    texts, lengths, ended = complete(model, tokenizer, [str(p.prompt) for p in problems], 1, greedy=True)
    accuracy = np.mean([score(text, problem.answer) for text, problem in zip(texts, problems, strict=True)])
    assert 0.30 <= accuracy <= 0.60
    assert all(ended) and max(lengths) <= 32
    assert {format_of(text) for text in texts} <= set(FORMATS)


def test_what_was_measured_is_what_a_base_model_needs(measured: dict[str, Any]) -> None:
    tasks = measured["tasks"]
    assert 0.30 <= tasks[ROOM_TO_GROW]["greedy"] <= 0.60
    assert 0.80 <= tasks[ROOM_TO_GROW]["pass_at_k"] <= 0.98
    assert 0.25 <= np.mean([task["sampled"] for task in tasks.values()]) <= 0.50
    for task in tasks.values():
        by_format = [task["formats"][fmt] for fmt in FORMATS]
        assert by_format[2]["accuracy"] > 1.5 * max(by_format[0]["accuracy"], by_format[1]["accuracy"])
        assert by_format[0]["share"] > by_format[2]["share"] > 0.15
        assert min(task["ended"], task["stated"]) > 0.99
        assert sum(task["formats"][fmt]["share"] for fmt in (*FORMATS, "other")) == pytest.approx(1)


def test_the_figures_are_of_this_very_model(measured: dict[str, Any]) -> None:
    assert sha256((MODEL / "model.safetensors").read_bytes()).hexdigest() == measured["sha256"]


def test_the_card_shows_what_was_measured_and_how_to_make_the_model_again(measured: dict[str, Any]) -> None:
    card = (MODEL / "README.md").read_text()
    assert table(measured) in card
    assert f"python -m trainers.pretrain --out trainers/tiny_arith --seed 0 --steps {STEPS}" in card
    assert "license: apache-2.0" in card
    assert f"{measured['parameters']:,} parameters" in card


def test_a_shorter_run_is_the_beginning_of_a_longer_one(tmp_path: Path) -> None:
    pretrain(tmp_path / "two", seed=3, steps=2, save_every=1)
    pretrain(tmp_path / "one", seed=3, steps=1, save_every=0)
    one, first_of_two, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two/step-1", "two"))
    assert all(torch.equal(one[name], first_of_two[name]) for name in one)
    assert any(not torch.equal(one[name], two[name]) for name in one)


def test_the_rate_warms_up_and_then_falls() -> None:
    rates = [learning_rate(step) for step in range(2000)]
    top = int(np.argmax(rates))
    assert all(np.diff(rates[: top + 1]) > 0) and all(np.diff(rates[top:]) < 0)
    assert rates[top] == PEAK_RATE
    assert rates[4 * (top + 1) - 1] == pytest.approx(rates[top] / 2)


def test_a_batch_is_trained_on_its_solutions_only() -> None:
    tokenizer = make_tokenizer()
    lookup = np.zeros(128, dtype=np.int64)
    for character in ALPHABET:
        lookup[ord(character)] = tokenizer.convert_tokens_to_ids(character)
    ids, labels = make_batch(np.random.default_rng(0), lookup)
    assert len(ids) == BATCH
    for row, label in zip(ids, labels, strict=True):
        text = tokenizer.decode(row, skip_special_tokens=False).replace(tokenizer.pad_token, "")
        learnt = tokenizer.decode(row[label != -100])
        assert text.endswith(learnt) and text.removesuffix(learnt).endswith("=")
        assert format_of(learnt) in FORMATS and learnt.endswith("$")
        assert torch.equal(label[label != -100], row[label != -100])
