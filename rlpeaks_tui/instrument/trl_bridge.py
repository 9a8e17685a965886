"""What is done with a TRL trainer by what it keeps private, which only this and `trl_generation` touch. TRL 1.16.

TRL tells callbacks about steps and mean metrics, but not which completions there were, what each earned, or
what the loss saw of their tokens. Those are taken here by wrapping four methods of the trainer at hand. A
method that is not there, in another version, leaves what depends on it unmeasured, with the reason; it
breaks nothing.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import CellType
from typing import Any, Protocol

import torch

from .generation import Generation
from .prompt_order import PromptOrder
from .starting_weights import StartingWeights, looking
from .trl_generation import collect

WANTED = (
    "_generate_and_score_completions",
    "_generate",
    "_calculate_rewards",
    "_compute_loss",
    "_get_per_token_logps_and_entropies",
    "_tokenize_prompts",
)
ROW = "rlpeaks_row"
EVERY = slice(None)


class Listener(Protocol):
    """Who wants to know what the trainer does."""

    def doing(self, activity: str) -> None: ...
    def took(self, what: str, seconds: float) -> None: ...
    def generated(self, generation: Generation | None) -> None: ...
    def failed(self, where: str, error: Exception) -> None: ...


class TrlBridge:
    """Listens to one TRL online trainer.

    Args:
        trainer: a GRPOTrainer.
        listener: told about activities, durations and each generation in training mode.
    """

    def __init__(self, trainer: Any, listener: Listener) -> None:
        self._trainer = trainer
        self._listener = listener
        self.missing = [name for name in WANTED if not hasattr(trainer, name)]
        self.current: Generation | None = None
        self.source: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None
        """Gives the rows of a training generation in place of those that the data loader fetched."""
        self._rows: torch.Tensor | None = None
        self._completion_ids: list[list[int]] = []
        self._order = PromptOrder()
        self.prompts_again = True
        """Whether the prompts after the last `go_to` are those that came there the first time."""
        if not self.missing:
            self._wrap("_generate", self._on_generate)
            self._wrap("_calculate_rewards", self._on_rewards)
            self._wrap("_generate_and_score_completions", self._on_generation)
            self._wrap("_compute_loss", self._on_loss)
            self._wrap("_get_per_token_logps_and_entropies", self._on_logps)

    def _wrap(self, name: str, around: Callable[..., Any]) -> None:
        original = getattr(self._trainer, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        setattr(self._trainer, name, wrapped)

    @property
    def model(self) -> torch.nn.Module:
        """The policy without the wrappers of distributed training."""
        model: torch.nn.Module = self._trainer.accelerator.unwrap_model(self._trainer.model)
        return model

    @property
    def device(self) -> torch.device:
        device: torch.device = self._trainer.accelerator.device
        return device

    @property
    def vocabulary(self) -> int:
        """Size of the vocabulary, which is the last dimension of the logits."""
        config: Any = self.model.config
        return int(config.get_text_config().vocab_size)

    @property
    def temperature(self) -> float:
        return float(self._trainer.temperature)

    # What can be changed while training runs.

    @property
    def temperature_is_fixed(self) -> str:
        """Why the temperature cannot be changed, or empty."""
        if getattr(self._trainer, "use_vllm", False):
            return "the separate sampler keeps its own temperature"
        if _temperature_cell(self._scored_model) is None:
            return "this version of TRL keeps the temperature where it cannot be changed"
        return ""

    @property
    def _scored_model(self) -> torch.nn.Module:
        """The module whose forward pass TRL has replaced, the adapters' wrapper taken off."""
        model: Any = self.model
        inner: torch.nn.Module = model.get_base_model() if hasattr(model, "peft_config") else model
        return inner

    def set_temperature(self, value: float) -> None:
        """Sample, and compute probabilities, at another temperature."""
        trainer = self._trainer
        trainer.temperature = value
        trainer.generation_config.temperature = value
        trainer.generation_kwargs["temperature"] = value
        models = [self._scored_model]
        if self.reference is not None:
            models.append(self.reference)
        for model in models:
            cell = _temperature_cell(model)
            if cell is not None:
                cell.cell_contents = value

    def set_length(self, value: float) -> None:
        """Let completions have so many tokens at the most."""
        trainer = self._trainer
        trainer.max_completion_length = int(value)
        trainer.generation_config.max_new_tokens = int(value)
        trainer.generation_kwargs["max_new_tokens"] = int(value)

    def set_entropy_coef(self, value: float) -> None:
        """Give the loss another entropy bonus."""
        self._trainer.entropy_coef = value
        self._trainer._entropy_bonus_enabled = value != 0 or self._trainer.use_adaptive_entropy

    @property
    def reference(self) -> torch.nn.Module | None:
        """TRL's reference model without the wrappers of distributed training, where there is one."""
        found = getattr(self._trainer, "ref_model", None)
        model: torch.nn.Module | None = None if found is None else self._trainer.accelerator.unwrap_model(found)
        return model

    def give_reference(self, base: StartingWeights | None) -> str:
        """Make the reference that TRL did not load, of the starting weights; gives why that cannot be, or nothing."""
        trainer, policy = self._trainer, self.model
        if trainer.ref_model is not None or hasattr(policy, "peft_config"):
            return ""  # with adapters the reference is the model without them
        if base is None:
            return "there is no reference model, and probes.starting_weights is off, so none can be made"
        try:
            from trl.trainer.utils import add_fused_lm_head
        except ImportError:
            return "this version of TRL makes its reference models in another way"
        inner: Any = policy
        reference = type(inner)(copy.deepcopy(inner.config))
        reference.to(device=self.device, dtype=next(policy.parameters()).dtype)
        with torch.no_grad():
            for name, parameter in reference.named_parameters():
                parameter.copy_(base.tensors.get(name, policy.get_parameter(name).data))
            for name, buffer in reference.named_buffers():
                buffer.copy_(policy.get_buffer(name))
        reference.requires_grad_(False)
        add_fused_lm_head(
            reference,
            temperature=self.temperature,
            cast_lm_head_to_fp32=getattr(trainer.args, "cast_lm_head_to_fp32", False),
        )
        trainer.ref_model = trainer.accelerator.prepare_model(reference, evaluation_mode=True)
        trainer.ref_model.eval()
        # What was generated without a reference has none of its log-probabilities.
        self.forget_rollouts()
        return ""

    @property
    def micro_step(self) -> int:
        """Forward passes of training so far, by which TRL tells when to generate anew."""
        return int(self._trainer._step)

    @property
    def at_a_generation(self) -> bool:
        """Whether the next forward pass begins with a generation of its own anyway."""
        args = self._trainer.args
        return bool(self.micro_step % (args.steps_per_generation * args.num_iterations) == 0)

    @property
    def ratio_is_one(self) -> bool:
        """Whether every generation is used for one update, so that policy and sampler never differ."""
        args = self._trainer.args
        return bool(args.num_iterations == 1 and args.steps_per_generation <= args.gradient_accumulation_steps)

    def go_to(self, step: int, micro_step: int) -> None:
        """Let the trainer believe that it has just finished training step `step`."""
        self._trainer.state.global_step = step
        self._trainer._globalstep_last_logged = step
        self._trainer._step = micro_step
        self.prompts_again = self._order.go_back(micro_step)
        self.forget_rollouts()

    def forget_rollouts(self) -> None:
        """Generate anew before the next update: what was generated belongs to other weights."""
        self._trainer._buffered_inputs = None
        if hasattr(self._trainer, "_last_loaded_step"):
            self._trainer._last_loaded_step = -1
        self.current = None

    def score(
        self, generation: Generation, base: StartingWeights | None = None, rows: slice = EVERY
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[b, T] log-probabilities and entropies of completions at the sampling temperature, nats.

        Under the starting weights when `base` is given, else under the policy as it is now.
        """
        with looking(self.model), base.lent_to(self.model) if base else nullcontext():
            logps, entropies = self._score(generation, rows)
        return logps.float(), entropies.float()

    def score_with_graph(self, generation: Generation, rows: slice | torch.Tensor) -> torch.Tensor:
        """[b, T] log-probabilities under the policy, to be differentiated; random state and modes stay as they are."""
        with looking(self.model), torch.enable_grad():
            return self._score(generation, rows)[0]

    def _score(self, generation: Generation, rows: slice | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        trainer = self._trainer
        logps, entropies, *_ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            generation.input_ids[rows],
            generation.attention_mask[rows],
            generation.mask.size(1),
            batch_size=trainer.args.per_device_train_batch_size,
            compute_entropy=True,
        )
        return logps, entropies

    def features(self, generation: Generation, rows: slice) -> torch.Tensor:
        """[n, d] hidden states of the last layer at the completions' tokens, float32."""
        tokens = generation.mask.size(1)
        with looking(self.model):
            out = self.model(
                input_ids=generation.input_ids[rows],
                attention_mask=generation.attention_mask[rows],
                output_hidden_states=True,
                logits_to_keep=1,
                use_cache=False,
            )
        hidden: torch.Tensor = out.hidden_states[-1][:, -tokens:].float()
        return hidden[generation.mask[rows].bool()]

    def tokenize(self, prompts: list[Any]) -> list[list[int]]:
        """Token ids of prompts (text or chat messages), exactly as training makes them."""
        ids: list[list[int]] = self._trainer._tokenize_prompts(prompts)[0]
        return ids

    def text(self, token: int) -> str:
        """One token as text."""
        return str(self._trainer.processing_class.decode([token]))

    def logits(self, generation: Generation, rows: slice | torch.Tensor, base: StartingWeights | None) -> torch.Tensor:
        """[b, T, V] logits over the full vocabulary at the sampling temperature, of the policy or of `base`."""
        tokens = generation.mask.size(1)
        with looking(self.model), base.lent_to(self.model) if base else nullcontext():
            out = self.model(
                input_ids=generation.input_ids[rows],
                attention_mask=generation.attention_mask[rows],
                logits_to_keep=tokens + 1,
                use_cache=False,
            )
        # The logits at position t - 1 predict token t; the last position predicts nothing that was sampled.
        result: torch.Tensor = out.logits[:, -tokens - 1 : -1].float() / self.temperature
        return result

    def _on_generate(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._listener.doing("generating")
        began = time.perf_counter()
        result = original(*args, **kwargs)
        self._listener.took("generate", time.perf_counter() - began)
        return result

    def _on_rewards(
        self, original: Callable[..., Any], inputs: Any, prompts: Any, completions: Any, ids: Any
    ) -> torch.Tensor:
        self._listener.doing("scoring")
        began = time.perf_counter()
        self._completion_ids = ids
        rewards: torch.Tensor = original(inputs, prompts, completions, ids)
        self._listener.took("score", time.perf_counter() - began)
        return rewards

    def _on_generation(self, original: Callable[..., Any], inputs: Any) -> Any:
        training = self._trainer.model.training
        if training:
            inputs = self._order.next(self.micro_step, inputs)
            if self.source is not None:
                inputs = self.source(inputs)
        output = original(inputs)
        if training:
            self.current = None
            try:
                self.current = collect(self._trainer, inputs, output, self._completion_ids)
                output[ROW] = torch.arange(len(self.current.mask), device=self.current.mask.device)
            except Exception as error:
                self._listener.failed("reading a generation", error)
            # Also where it could not be read: other ranks may have read theirs, and all go on together.
            self._listener.generated(self.current)
        self._listener.doing("updating")
        return output

    def _on_loss(self, original: Callable[..., Any], model: Any, inputs: dict[str, Any]) -> Any:
        self._rows = inputs.get(ROW)
        # Of a generation that serves several steps, the later ones begin here.
        self._listener.doing("updating")
        try:
            return original(model, inputs)
        finally:
            self._rows = None

    def _on_logps(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        logps, entropies = result[0], result[1]
        if self._rows is not None and self.current is not None and entropies is not None:
            try:
                self.current.fill(self._rows, logps, entropies)
            except Exception as error:
                self._listener.failed("reading the loss", error)
        return result

    def pieces(self, generation: Generation, row: int) -> list[str]:
        """The completion of one row as the text of each of its tokens."""
        tokens = generation.mask.size(1)
        ids = generation.input_ids[row, -tokens:][generation.mask[row].bool()].tolist()
        texts: list[str] = self._trainer.processing_class.batch_decode([[i] for i in ids])
        return texts


def _temperature_cell(model: Any) -> CellType | None:
    """Where TRL's replaced forward pass keeps the temperature that it divides logits by."""
    forward: Any = getattr(model, "forward", None)
    for _ in range(8):
        function = getattr(forward, "__func__", forward)
        code = getattr(function, "__code__", None)
        if code is not None and "temperature" in code.co_freevars:
            cell: CellType = function.__closure__[code.co_freevars.index("temperature")]
            return cell
        # Mixed precision wraps the forward pass once more.
        forward = getattr(forward, "model_forward", None) or getattr(function, "__wrapped__", None)
    return None
