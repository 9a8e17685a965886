"""Metrics that the trainer itself logs, and those of what a step costs. TRL's names are kept as they are."""

from __future__ import annotations

from rlpeaks_tui.stats.metric import Metric

_TRL = "TRL GRPOTrainer"

_REWARD = (
    Metric(
        name="reward",
        title="Reward",
        unit="",
        panel="reward",
        formula="mean over rollouts of sum_f weight_f * reward_f",
        estimator="all rollouts of the step; the interval must count prompts, not rollouts",
        source=_TRL,
        healthy="rises, then levels off; noise of 1 / sqrt(prompts in a step) is normal",
        misleads="It is measured on training prompts at the training temperature, with whatever the reward "
        "functions can be fooled by. A change of phase or of weights changes its meaning.",
        better="higher",
    ),
    Metric(
        name="reward_std",
        title="Reward spread",
        unit="",
        panel="reward",
        formula="standard deviation of the total reward over all rollouts of the step",
        estimator="all rollouts of the step",
        source=_TRL,
        healthy="well above 0 while there is something to learn",
        misleads="It mixes spread within groups, which teaches, with spread between prompts, which does not. "
        "frac_reward_zero_std tells the two apart.",
        bounds=(0.0, None),
    ),
    Metric(
        name="frac_reward_zero_std",
        title="Groups without signal",
        unit="fraction",
        panel="reward",
        formula="share of groups whose rewards are all equal",
        estimator="all groups of the step; expected p^G + (1 - p)^G at success rate p and group size G",
        source=f"{_TRL}; the groups that DAPO (2503.14476) filters out",
        healthy="below 0.5; at 8 rollouts a group 0.43 is already expected at p = 0.1 or 0.9",
        misleads="All right and all wrong count the same: near 1 it can mean solved or hopeless. Look at reward. "
        "With batch-wise scaling of rewards TRL logs the batch's spread here instead, 0 or 1 as a whole.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="rewards/<function>/mean",
        title="Reward by function",
        unit="",
        panel="reward",
        formula="mean of one reward function over the rollouts it applied to, before weighting",
        estimator="all rollouts of the step for which the function did not return None",
        source=_TRL,
        healthy="the functions rise together",
        misleads="A format reward that rises while a correctness reward falls is a policy learning the wrong thing "
        "under a rising total.",
        better="higher",
    ),
    Metric(
        name="rewards/<function>/std",
        title="Reward spread by function",
        unit="",
        panel="reward",
        formula="standard deviation of one reward function over the rollouts it applied to",
        estimator="all rollouts of the step",
        source=_TRL,
        healthy="above 0 for every function that should still teach",
        misleads="Mixes spread within groups and between prompts.",
        bounds=(0.0, None),
    ),
    Metric(
        name="reward/<task>",
        title="Reward by task",
        unit="",
        panel="reward",
        formula="mean total reward of the rollouts of one task",
        estimator="the rollouts of the task in this step, often few",
        source="rlpeaks",
        healthy="no task falls for long while another rises",
        misleads="Tasks differ in size and in their largest reward, so levels do not compare; trends do.",
        better="higher",
    ),
    Metric(
        name="eval/pass@<k>",
        title="pass@k",
        unit="fraction",
        panel="reward",
        formula="mean over problems of 1 - C(n - c, k) / C(n, k), c correct of n samples",
        estimator="unbiased; interval by resampling problems; needs n >= 2k to be steady",
        source="2107.03374; for RL against base 2504.13837",
        healthy="pass@1 rises without pass@k at large k falling below the base's",
        misleads="pass@1 can rise only because the policy got narrower. With answers that can be guessed, "
        "pass@k at large k rewards guessing.",
        better="higher",
        bounds=(0.0, 1.0),
    ),
)

_COMPLETIONS = (
    Metric(
        name="completions/mean_length",
        title="Completion length",
        unit="tokens",
        panel="completions",
        formula="mean number of tokens of a completion",
        estimator="all rollouts of the step, cut ones included",
        source=_TRL,
        healthy="moves slowly; growth is fine while reward grows with it",
        misleads="Cut completions count with the length they were cut at, so near the limit it cannot rise further.",
        bounds=(0.0, None),
    ),
    Metric(
        name="completions/min_length",
        title="Shortest completion",
        unit="tokens",
        panel="completions",
        formula="least number of tokens of a completion",
        estimator="an extreme of one step, so it depends on the batch size",
        source=_TRL,
        healthy="not stuck at 1",
        misleads="One rollout decides it.",
        bounds=(0.0, None),
    ),
    Metric(
        name="completions/max_length",
        title="Longest completion",
        unit="tokens",
        panel="completions",
        formula="greatest number of tokens of a completion",
        estimator="an extreme of one step, so it depends on the batch size",
        source=_TRL,
        healthy="below the limit on length",
        misleads="One rollout decides it; clipped_ratio says how many reach the limit.",
        bounds=(0.0, None),
    ),
    Metric(
        name="completions/clipped_ratio",
        title="Truncated",
        unit="fraction",
        panel="completions",
        formula="share of completions cut by the limit on length",
        estimator="all rollouts of the step",
        source="TRL GRPOTrainer; thresholds from ScaleRL (2510.13786, A.15)",
        healthy="below 0.05; runs between 0.10 and 0.15 were destabilised",
        misleads="A cut completion usually earns nothing, so a low reward may be the limit and not the policy.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    *(
        Metric(
            name=f"completions/{which}_terminated_length",
            title=f"{title} of those that ended",
            unit="tokens",
            panel="completions",
            formula=f"{what} number of tokens of the completions that ended by themselves",
            estimator="the rollouts of the step that were not cut; 0 when all were",
            source=_TRL,
            healthy="moves slowly; twice its start without a gain in reward is padding",
            misleads="Leaves out the longest by construction, so it stays calm while truncation rises.",
            bounds=(0.0, None),
        )
        for which, title, what in (
            ("mean", "Length", "mean"),
            ("min", "Shortest", "least"),
            ("max", "Longest", "greatest"),
        )
    ),
)

_CLIP_CAVEAT = (
    "With one update a generation the probability ratio is 1 by construction, and so this is exactly 0: it does "
    "not apply, which is not the same as healthy. Sequence-level losses clip far more by design."
)

_OPTIMIZER = (
    *(
        Metric(
            name=f"clip_ratio/{which}",
            title=title,
            unit="fraction",
            panel="optimizer",
            formula=formula,
            estimator="all tokens of the update",
            source="TRL GRPOTrainer; PPO (1707.06347)",
            healthy="below 0.2, and neither side five times the other",
            misleads=_CLIP_CAVEAT,
            bounds=(0.0, 1.0),
        )
        for which, title, formula in (
            ("region_mean", "Clipped tokens", "share of tokens clipped on either side"),
            ("low_mean", "Clipped low", "share of tokens with ratio < 1 - eps_low and advantage < 0"),
            ("high_mean", "Clipped high", "share of tokens with ratio > 1 + eps_high and advantage > 0"),
            ("low_min", "Clipped low, least", "least clipped-low share of any sequence"),
            ("high_max", "Clipped high, most", "greatest clipped-high share of any sequence"),
        )
    ),
    Metric(
        name="loss",
        title="Loss",
        unit="",
        panel="optimizer",
        formula="the trainer's objective, policy term plus beta * KL",
        estimator="mean over the logged interval",
        source=_TRL,
        healthy="near 0, of either sign",
        misleads="Advantages are centred in each group, so the policy term is about 0 at the point of sampling "
        "whatever the policy does. It says nothing about progress.",
    ),
    Metric(
        name="grad_norm",
        title="Gradient norm",
        unit="",
        panel="optimizer",
        formula="Euclidean norm of the gradient before clipping",
        estimator="one value an optimizer step",
        source="transformers Trainer",
        healthy="steady within a factor of a few; no value above five times its recent median",
        misleads="Its level depends on model size and loss scaling; only change within a run says something. "
        "If the clip always binds, the learning rate is set by the clip.",
        bounds=(0.0, None),
    ),
    Metric(
        name="learning_rate",
        title="Learning rate",
        unit="",
        panel="optimizer",
        formula="the scheduler's value for the first parameter group",
        estimator="exact",
        source="transformers Trainer",
        healthy="follows the schedule; jumps only at a command",
        misleads="With Adam it is about the size of each weight's step whatever the gradient.",
        bounds=(0.0, None),
    ),
    Metric(
        name="epoch",
        title="Epoch",
        unit="",
        panel="optimizer",
        formula="share of the training prompts seen, counting repeats",
        estimator="exact",
        source="transformers Trainer",
        healthy="grows evenly",
        misleads="Counts prompts, not rollouts, and starts over its meaning when the curriculum changes the prompts.",
        bounds=(0.0, None),
    ),
    Metric(
        name="num_tokens",
        title="Tokens seen",
        unit="tokens",
        panel="optimizer",
        formula="prompt and completion tokens processed since the start",
        estimator="exact, over all ranks",
        source=_TRL,
        healthy="grows; the axis on which runs of different lengths compare",
        misleads="Prompt tokens count once a rollout.",
        bounds=(0.0, None),
    ),
    *(
        Metric(
            name=f"sampling/sampling_logp_difference/{which}",
            title=f"Sampler mismatch, {which}",
            unit="nats/token",
            panel="optimizer",
            formula=f"{which} over tokens of |log p by the trainer - log p by the sampler|",
            estimator="all tokens of the step; logged only with vLLM",
            source="TRL GRPOTrainer; mismatch alone can end in collapse (2605.14220)",
            healthy=healthy,
            misleads="Two engines never agree exactly; a rise over the run matters more than the level.",
            better="lower",
            bounds=(0.0, None),
        )
        for which, healthy in (
            ("mean", "0.0004 to 0.01; above 0.02 look, above 0.1 stop"),
            ("max", "single tokens may be far off"),
        )
    ),
    *(
        Metric(
            name=f"sampling/importance_sampling_ratio/{which}",
            title=f"Sampler correction, {which}",
            unit="",
            panel="optimizer",
            formula=f"{which} of p by the trainer / p by the sampler, after TRL's cap",
            estimator="tokens or sequences of the step, as configured; logged only with vLLM",
            source=_TRL,
            healthy="near 1",
            misleads="The cap hides how far beyond it the ratio went; at sequence level it drifts with length.",
            bounds=(0.0, None),
        )
        for which in ("min", "mean", "max")
    ),
)

_TIMES = {
    "generate": ("generating completions", "most of the step without a fast sampler: 0.5 to 0.8 of it"),
    "score": ("computing rewards", "small, unless a reward function calls out to something slow"),
    "update": ("forward, backward and optimizer", "steady"),
    "probe": ("measuring, beyond what training needs", "within the probe budget"),
    "wait": ("no training: paused, or obeying commands", "about 0 unless somebody steers"),
    "step": ("one whole optimizer step, waiting left out", "steady; grows with completion length"),
}

_COST = (
    Metric(
        name="step_time",
        title="Step time by TRL",
        unit="s",
        panel="cost",
        formula="seconds spent in training_step for one optimizer step",
        estimator="wall clock of the main process",
        source=_TRL,
        healthy="steady; grows with completion length",
        misleads="Leaves out the optimizer's own step, logging and checkpoints.",
        better="lower",
        bounds=(0.0, None),
    ),
    *(
        Metric(
            name=f"time/{which}",
            title=f"Time, {which}",
            unit="s",
            panel="cost",
            formula=f"seconds a step spent {what}" if which != "step" else f"seconds of {what}",
            estimator="wall clock of the main process",
            source="rlpeaks",
            healthy=healthy,
            misleads="On a GPU work is queued: without a synchronisation, time is booked where it was waited for.",
            better="lower",
            bounds=(0.0, None),
        )
        for which, (what, healthy) in _TIMES.items()
    ),
    Metric(
        name="probes/share",
        title="Measuring",
        unit="%",
        panel="cost",
        formula="time spent measuring / time spent training, over recent steps",
        estimator="wall clock of the main process; stored as a fraction",
        source="rlpeaks",
        healthy="below the probe budget, 2 % unless set otherwise",
        misleads="Does not count memory traffic that slows training down afterwards.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="probes/<probe>",
        title="Time of probe",
        unit="s",
        panel="cost",
        formula="seconds that one run of a probe took",
        estimator="wall clock of the main process, at the steps at which it ran",
        source="rlpeaks",
        healthy="steady; the budget stretches the time between two runs accordingly",
        misleads="The first run pays for warming up.",
        better="lower",
        bounds=(0.0, None),
    ),
    Metric(
        name="telemetry/lost",
        title="Telemetry lost",
        unit="count",
        panel="cost",
        formula="entries that could not be written since the start",
        estimator="exact",
        source="rlpeaks",
        healthy="0",
        misleads="Training goes on when it is not 0: charts then have gaps that mean nothing about the run.",
        better="lower",
        bounds=(0.0, None),
    ),
    Metric(
        name="memory/rss",
        title="Memory",
        unit="bytes",
        panel="cost",
        formula="resident set size of the training process",
        estimator="as the operating system reports it, main process only",
        source="rlpeaks",
        healthy="level after the first steps; steady growth is a leak",
        misleads="Shared pages count in full, and memory of an accelerator does not count at all.",
        bounds=(0.0, None),
    ),
)

TRAINING: tuple[Metric, ...] = (*_REWARD, *_COMPLETIONS, *_OPTIMIZER, *_COST)
