"""Make the tiny base model from nothing, and measure it.

Reinforcement learning in the first minute needs a base model that fits in a commit, loads like any other
(`AutoModelForCausalLM`), and is deliberately unfinished: right often enough that groups have successes, wrong often
enough that training has work to do. The learning rate at a step does not depend on how many steps are to come, so a
shorter run is exactly the beginning of a longer one, and the step at which to stop can be chosen by measurement.

    python -m trainers.pretrain --out DIR --seed 0 --steps 1400
    python -m trainers.pretrain --evaluate DIR
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trainers.formats import ALPHABET, END, Format
from trainers.measure import COMPLETION, measure, table
from trainers.measure import save as save_measured
from trainers.tasks import NOISE, TASKS, solve

TASK_SHARE = {"two_operands": 0.40, "three_operands": 0.35, "times_digit": 0.25}
FORMAT_SHARE: dict[Format, float] = {"direct": 0.45, "program": 0.30, "column": 0.25}
PAD = "<pad>"
CONTEXT = 64
BATCH = 128
PEAK_RATE, WARMUP = 3e-3, 200
STEPS = 1400


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, `$` ends a text, nothing is added and nothing is joined with spaces.

    There is no token for the unknown: a character outside the alphabet is an error, not a silent blank.
    """
    vocabulary = {token: i for i, token in enumerate([PAD, *ALPHABET])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        model_max_length=CONTEXT,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of 0.46 million float32 parameters: under 2 MB, so that it can live in the repository."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=224,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def make_batch(rng: np.random.Generator, lookup: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw BATCH problems with solutions; return ids and labels, both (batch, longest).

    Labels are -100 off the solution. `lookup` maps a byte to its token id, the zero byte to the padding.
    """
    tasks = rng.choice(list(TASK_SHARE), size=BATCH, p=list(TASK_SHARE.values()))
    formats = rng.choice(list(FORMAT_SHARE), size=BATCH, p=list(FORMAT_SHARE.values()))
    problems = [TASKS[task].sample(rng, 1)[0] for task in tasks.tolist()]
    texts = [
        str(problem.prompt) + solve(problem, fmt, rng, NOISE[fmt])
        for problem, fmt in zip(problems, formats.tolist(), strict=True)
    ]
    characters = np.array(texts, dtype=bytes)
    ids = lookup[characters.view(np.uint8).reshape(BATCH, -1)]
    prompt_lengths = np.array([len(problem.prompt) for problem in problems])[:, None]
    in_solution = (np.arange(ids.shape[1]) >= prompt_lengths) & (ids != lookup[0])
    return torch.from_numpy(ids), torch.from_numpy(np.where(in_solution, ids, -100))


def learning_rate(step: int) -> float:
    """Linear warm-up, then the inverse square root: the same at a step however many steps follow."""
    return PEAK_RATE * min((step + 1) / WARMUP, math.sqrt(WARMUP / (step + 1)))


def pretrain(out: Path, seed: int, steps: int, save_every: int) -> None:
    """Train from random weights on one core and save to `out`; with `save_every`, also to `out`/step-N on the way."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    lookup = np.full(128, tokenizer.pad_token_id, dtype=np.int64)
    lookup[[ord(c) for c in ALPHABET]] = tokenizer.convert_tokens_to_ids(list(ALPHABET))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, betas=(0.9, 0.98))
    print(f"{model.num_parameters():,} parameters, {steps} steps of {BATCH} texts", flush=True)
    started = time.monotonic()
    for step in range(steps):
        ids, labels = make_batch(rng, lookup)
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        done = step + 1
        if done % 50 == 0 or done == steps:
            print(f"step {done:5d}  loss {loss.item():.3f}  {time.monotonic() - started:6.0f} s", flush=True)
        if save_every and done % save_every == 0:
            save(model, tokenizer, out / f"step-{done}")
    save(model, tokenizer, out)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Save in the layout of transformers."""
    model.generation_config = GenerationConfig(
        max_new_tokens=COMPLETION, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    """Pretrain into --out, or measure --evaluate, which leaves measured.json beside the model."""
    parser = argparse.ArgumentParser(description="Make the tiny base model from nothing, or measure one.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="pretrain from random weights and save here")
    what.add_argument("--evaluate", type=Path, metavar="DIR", help="measure the model saved here")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the weights and the text, or of the sampling (default 0)"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="of 128 texts each (default %(default)s)")
    parser.add_argument("--save-every", type=int, default=0, metavar="N", help="also save every N steps, to DIR/step-N")
    args = parser.parse_args()
    if args.evaluate and not (args.evaluate / "config.json").is_file():
        parser.error(f"no model in {args.evaluate}: it has no config.json; give a folder that --out has written")
    torch.set_num_threads(1)
    if args.out:
        pretrain(args.out, args.seed, args.steps, args.save_every)
    else:
        measured = measure(args.evaluate, tuple(TASK_SHARE), args.seed)
        save_measured(measured, args.evaluate / "measured.json")
        print(table(measured))


if __name__ == "__main__":
    main()
