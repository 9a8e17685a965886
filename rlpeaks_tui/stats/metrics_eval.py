"""Metrics of what the policy can do on held-out prompts, beside the base on the same ones."""

from __future__ import annotations

from rlpeaks_tui.stats.metric import Metric

_PAIRED = "the same held-out prompts and as many samples a prompt from the base, drawn once, and from the policy"
_TABLE = f"{_PAIRED}; a prompt counts as solved when one of its samples is right"
_CLASSES = f"{_PAIRED}; two standard errors of a difference of shares, one success and one failure added to each"
_FIT = "weighted Huber fit to all evaluations, profiled over the asymptote; written only once it is identified"

_ACCURACY = (
    Metric(
        name="eval/pass@1_se",
        title="pass@1, standard error",
        unit="fraction",
        panel="reward",
        formula="standard error of eval/pass@1 between held-out prompts",
        estimator="deviation of the prompts' rates of success / sqrt(prompts)",
        source="rlpeaks",
        healthy="below the gains that one hopes to see; 0.03 to 0.05 with 64 prompts",
        misleads="For one value by itself. Evaluations share their prompts, so that their differences are known "
        "better than this says. 0 when every sample succeeds, which is no certainty.",
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="eval/accuracy/<task>",
        title="Held-out accuracy",
        unit="fraction",
        panel="reward",
        formula="pass@1 on the held-out prompts of one task",
        estimator="the same prompts at every evaluation, sampled as training sampled at its start",
        source="rlpeaks; the rows of the transfer matrix of 1706.08840",
        healthy="no task falls while another is trained",
        misleads="A task has a share of the prompts only, so its error is larger than that of eval/pass@1.",
        better="higher",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="eval/base_pass@<k>",
        title="Base's pass@k",
        unit="fraction",
        panel="reward",
        formula="mean over problems of 1 - C(n - c, k) / C(n, k), c correct of the base's n samples",
        estimator="unbiased; drawn once from the starting weights at the temperature that training began with",
        source="2107.03374; for RL against base 2504.13837",
        healthy="leaves room at k = 1, and more of it filled at large k: that is what RL can sharpen",
        misleads="Drawn once, so its error never averages out: it is the same in every comparison of the run.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="eval/gain",
        title="pass@k gained over base",
        unit="",
        panel="reward",
        formula="mean over prompts of pass@k of the policy - pass@k of the base, at the largest steady k",
        estimator=f"{_PAIRED}; the largest k that was asked for with n >= 2k",
        source="2504.13837",
        healthy="not below 0: what can be found in many tries is not being lost",
        misleads="Near 0 also where both solve everything in k tries, which then says nothing of narrowing. With "
        "answers that can be guessed, k guesses count as ability.",
        better="higher",
        bounds=(-1.0, 1.0),
    ),
    *(
        Metric(
            name=f"eval/gain_{end}",
            title=f"pass@k gained, {title}",
            unit="",
            panel="reward",
            formula=f"{title} of the 90 % interval of eval/gain",
            estimator="percentile bootstrap, resampling prompts with both of their results",
            source="rlpeaks",
            healthy=healthy,
            misleads="Covers the choice of prompts and not of tasks. Asked at every evaluation, an interval of 90 % "
            "misses now and then.",
            bounds=(-1.0, 1.0),
        )
        for end, title, healthy in (
            ("low", "lower end", "above 0 once the policy finds answers in k tries more often than the base"),
            ("high", "upper end", "not below 0"),
        )
    ),
    Metric(
        name="eval/policy_only",
        title="Solved by the policy only",
        unit="fraction",
        panel="reward",
        formula="share of prompts solved at least once in n samples by the policy and never by the base",
        estimator=_TABLE,
        source="2504.13837",
        healthy="unknown; 0.01 and below at large n in the paper, where bases could be sampled much longer",
        misleads="Never in n samples is no proof: the base's rate may still be as high as 3 / n.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="eval/base_only",
        title="Solved by the base only",
        unit="fraction",
        panel="reward",
        formula="share of prompts solved at least once in n samples by the base and never by the policy",
        estimator=_TABLE,
        source="2504.13837",
        healthy="not above eval/policy_only",
        misleads="Counts lucky guesses of the base as ability. Chance alone gives both shares: eval/mcnemar says "
        "whether they differ.",
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="eval/mcnemar",
        title="Solved sets differ, p",
        unit="",
        panel="reward",
        formula="chance that of all prompts solved by one of the two only, a fair coin gives a split as uneven",
        estimator="McNemar's exact test, two-sided, on eval/policy_only and eval/base_only",
        source="McNemar 1947",
        healthy="any; below 0.05 look which of the two shares is larger",
        misleads="1 where both solve the same prompts, whatever their rates. Looked at every evaluation it falls "
        "below 0.05 by chance in the long run.",
        digits=2,
        bounds=(0.0, 1.0),
    ),
)

_DIFFICULTY = tuple(
    Metric(
        name=f"eval/{name}",
        title=title,
        unit="fraction",
        panel="reward",
        formula=formula,
        estimator=_CLASSES,
        source="rlpeaks; motivated by 2605.28388",
        healthy=healthy,
        misleads=misleads,
        digits=2,
        bounds=(0.0, 1.0),
    )
    for name, title, formula, healthy, misleads in (
        (
            "learned",
            "Prompts learned",
            "share of prompts whose rate of success rose by more than two standard errors",
            "grows",
            "One prompt in forty that did not change lands here by chance.",
        ),
        (
            "forgotten",
            "Prompts forgotten",
            "share of prompts whose rate of success fell by more than two standard errors",
            "about the 0.02 that chance gives",
            "One prompt in forty that did not change lands here by chance.",
        ),
        (
            "stuck",
            "Prompts stuck",
            "share of prompts solved now and then, below 0.8 in the mean of both, and not clearly changed",
            "falls: these are what the policy could still learn",
            "With few samples a real change is not clear, and everything is stuck.",
        ),
        (
            "dead",
            "Prompts never solved",
            "share of prompts that neither base nor policy solved in any of their samples",
            "falls, or is 0",
            "Never in 2n samples is no proof: the rate may still be as high as 3 / 2n.",
        ),
    )
)

_FORECAST = (
    Metric(
        name="eval/ceiling",
        title="Ceiling of pass@1",
        unit="fraction",
        panel="reward",
        formula="A of R - R_0 = (A - R_0) / (1 + (C_mid / C)^B), R held-out accuracy, C optimizer steps or tokens",
        estimator=_FIT,
        source="2510.13786",
        healthy="well above the present accuracy; repeats of one recipe agree within 0.02",
        misleads="A forecast for this recipe on these prompts: another phase, length limit or loss sets another "
        "ceiling. Before accuracy has bent, any ceiling fits.",
        bounds=(0.0, 1.0),
    ),
    *(
        Metric(
            name=f"eval/ceiling_{end}",
            title=f"Ceiling, {title}",
            unit="fraction",
            panel="reward",
            formula=f"{title} of the 80 % interval of eval/ceiling",
            estimator="moving-block bootstrap of the residuals of the fit, 200 refits",
            source="rlpeaks",
            healthy="narrow: less than 0.1 from end to end",
            misleads="Supposes that the sigmoid is true. A curve that levels off and rises again is outside.",
            bounds=(0.0, 1.0),
        )
        for end, title in (("low", "lower end"), ("high", "upper end"))
    ),
    Metric(
        name="exhaustion/left",
        title="Accuracy left in entropy",
        unit="",
        panel="entropy",
        formula="a (e^H - 1), R = -a e^H + b fitted to held-out accuracy R and token entropy H",
        estimator="ordinary least squares over all evaluations of the run, five or more",
        source="2505.22617",
        healthy="above the standard error of the evaluation: there is entropy left to spend on reward",
        misleads="The law was found without entropy bonus or KL term; anything that holds entropy up breaks it. It "
        "says what this recipe would still gain, not what the model could.",
    ),
    Metric(
        name="exhaustion/r2",
        title="Fit of accuracy on entropy",
        unit="fraction",
        panel="entropy",
        formula="1 - sum (R + a e^H - b)^2 / sum (R - mean R)^2",
        estimator="the points that the line was fitted to",
        source="2505.22617",
        healthy="above 0.9 in the paper",
        misleads="Any two curves that both level off correlate. Few points fit any line.",
        digits=2,
        better="higher",
        bounds=(0.0, 1.0),
    ),
)

_SUBSTITUTION = (
    "Token substitution at greedy decoding, not steering. A short answer can be carried by the substituted tokens "
    "themselves."
)
_LOCKSTEP = "held-out prompts decoded greedily in lock-step, the policy's token taken where the rule fires"

_ROUTING = (
    Metric(
        name="routing/recovery",
        title="Gain recovered by routing",
        unit="",
        panel="kl",
        formula="(accuracy routed - base's) / (policy's - base's), routed where JS(p, p0) > 0.1 nats",
        estimator=f"{_LOCKSTEP}; nan where policy and base differ by less than two standard errors",
        source="2603.22446; 2510.07364 for the question",
        healthy="high at a few percent of tokens: the policy differs where it matters",
        misleads=f"{_SUBSTITUTION} Read it only beside routing/tokens and routing/random: with more tokens any rule "
        "recovers more.",
        digits=2,
    ),
    *(
        Metric(
            name=f"routing/recovery_{end}",
            title=f"Gain recovered, {title}",
            unit="",
            panel="kl",
            formula=f"{title} of the 90 % interval of routing/recovery",
            estimator="percentile bootstrap, resampling prompts",
            source="rlpeaks",
            healthy="narrow against the distance to routing/random",
            misleads="A ratio: wide, and lopsided, while the policy has gained little over the base.",
            digits=2,
        )
        for end, title in (("low", "lower end"), ("high", "upper end"))
    ),
    Metric(
        name="routing/tokens",
        title="Tokens routed",
        unit="fraction",
        panel="kl",
        formula="share of tokens taken from the policy because JS(p, p0) > 0.1 nats",
        estimator=_LOCKSTEP,
        source="2603.22446; the threshold is ours",
        healthy="below 0.1",
        misleads="Counted along the routed text, which is neither the policy's nor the base's.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="routing/random",
        title="Gain recovered at random",
        unit="",
        panel="kl",
        formula="as routing/recovery, routed at random positions at the rate of routing/tokens",
        estimator=_LOCKSTEP,
        source="2603.22446; the control",
        healthy="far below routing/recovery",
        misleads="One draw of positions. It rises with the rate by itself.",
        digits=2,
    ),
    Metric(
        name="routing/first",
        title="Gain recovered by one token",
        unit="",
        panel="kl",
        formula="as routing/recovery, the first token from the policy and all others from the base",
        estimator=_LOCKSTEP,
        source="rlpeaks; the control for formats",
        healthy="below routing/recovery",
        misleads="Where the first token chooses the format this is most of the gain, which then is a choice among "
        "what the base can do already.",
        digits=2,
    ),
    Metric(
        name="routing/half",
        title="Gain recovered by top half",
        unit="",
        panel="kl",
        formula="as routing/recovery, routed at the half of the disagreements with the largest log p - log p0",
        estimator=f"{_LOCKSTEP}; p and p0 of the policy's most likely token",
        source="2603.22117, which selects by the signed change of log-probability",
        healthy="above one half",
        misleads=f"{_SUBSTITUTION} Every disagreement routed is the policy itself, so that all of them always "
        "recover 1.",
        digits=2,
    ),
    Metric(
        name="routing/argmax",
        title="Tokens that disagree",
        unit="fraction",
        panel="kl",
        formula="share of tokens at which the most likely tokens of policy and base differ",
        estimator=_LOCKSTEP,
        source="2510.07364; 2603.22446",
        healthy="below 0.1",
        misleads="Taking the policy's token at all of them gives the policy's own greedy text, by construction: a "
        "recovery of 1 there is no finding. Near ties count in full.",
        bounds=(0.0, 1.0),
    ),
)

_STAGES = "from eval/accuracy/<task> at the end of each phase of the curriculum, the same prompts every time"

_TRANSFER = (
    Metric(
        name="transfer/bwt",
        title="Backward transfer",
        unit="",
        panel="reward",
        formula="mean over tasks no longer trained of R[T, i] - R[l(i), i], l(i) the last phase that trained i",
        estimator=f"{_STAGES}; R[t, i] is the accuracy on task i at the end of phase t",
        source="1706.08840",
        healthy="not below 0 by more than its noise: later phases keep what earlier ones taught",
        misleads="A task that was never learned cannot be lost: read it beside the accuracies. Its error is that of "
        "two accuracies on few prompts each. No value while every task is still trained.",
        digits=2,
        better="higher",
        bounds=(-1.0, 1.0),
    ),
    Metric(
        name="transfer/forgetting",
        title="Forgetting",
        unit="",
        panel="reward",
        formula="mean over tasks no longer trained of max over t of R[t, i] - R[T, i]",
        estimator=_STAGES,
        source="1801.10112, the last phase included in the maximum",
        healthy="within the noise of one accuracy",
        misleads="The largest of several noisy accuracies is too large, so it is above 0 where nothing was forgotten, "
        "and grows with the number of phases.",
        digits=2,
        better="lower",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="transfer/fwt",
        title="Forward transfer",
        unit="",
        panel="reward",
        formula="mean over tasks that the first phase does not train of R[f(i) - 1, i] - b[i], f(i) the first phase "
        "that trains i",
        estimator=f"{_STAGES}; b[i] is the accuracy of the starting weights on task i",
        source="1706.08840",
        healthy="above 0: earlier phases help with what comes later",
        misleads="Learning the form of an answer counts as well, so that it is above 0 for tasks that share nothing "
        "else. Its error is that of two accuracies on few prompts each.",
        digits=2,
        better="higher",
        bounds=(-1.0, 1.0),
    ),
)

EVAL: tuple[Metric, ...] = (*_ACCURACY, *_DIFFICULTY, *_FORECAST, *_ROUTING, *_TRANSFER)
