"""Settings of a training that can be changed while it runs: what each is now, what it may be, and how it is
put in force.

Names are those of TRL's own arguments. A setting that this trainer does not have, or that it could not obey,
is not offered, and why is said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from ..run.bounds import REWARD_WEIGHT, beyond, far
from .budget import Budget
from .starting_weights import StartingWeights
from .trl_bridge import TrlBridge


class SettingRefused(Exception):
    """A setting cannot be changed so; the message says why."""


class Setting(Struct, frozen=True):
    """One setting of the trainer at hand.

    Attributes:
        get: its present value.
        put: puts a value in force, from the next generation on.
    """

    get: Callable[[], float]
    put: Callable[[float], None]


class Settings:
    """The settings of one training.

    Args:
        trainer: a TRL online trainer.
        bridge: the same, as the instruments see it.
        base: the starting weights, of which a reference is made where TRL loaded none.
        budget: of the instruments.
    """

    def __init__(self, trainer: Any, bridge: TrlBridge, base: StartingWeights | None, budget: Budget) -> None:
        self._trainer = trainer
        self._bridge = bridge
        self._base = base
        self.cannot: dict[str, str] = {}
        """Settings that this trainer cannot change, and why."""
        self._settings = self._offered(budget)

    @property
    def values(self) -> dict[str, float]:
        """Settings in force."""
        return {name: setting.get() for name, setting in self._settings.items()}

    def check(self, name: str, value: float, sure: bool) -> None:
        """Whether `name` can be set to `value`.

        Raises:
            SettingRefused: it cannot, with the bounds; or it is far from what it is and `sure` is not said.
        """
        setting = self._settings.get(name)
        if setting is None:
            why = self.cannot.get(name) or f"there is no setting {name!r}; there are: {', '.join(self._settings)}"
            raise SettingRefused(why)
        if wrong := beyond(name, value):
            raise SettingRefused(wrong)
        if not sure and (doubt := far(name, setting.get(), value)):
            raise SettingRefused(f"{doubt}; send it with --yes if that is meant")

    def put(self, values: dict[str, float]) -> dict[str, float]:
        """Put values in force, all of which were checked; gives those that were before.

        Raises:
            SettingRefused: a value cannot be put in force after all; those before it are in force then.
        """
        before = {name: self._settings[name].get() for name in values}
        for name, value in values.items():
            if value != before[name]:
                self._settings[name].put(value)
        return before

    def _offered(self, budget: Budget) -> dict[str, Setting]:
        trainer, bridge = self._trainer, self._bridge
        found = {"learning_rate": Setting(self._learning_rate, self._put_learning_rate)}
        if bridge.missing:
            self.cannot["temperature"] = f"this version of TRL has no {', '.join(bridge.missing)}"
        else:
            found["beta"] = Setting(lambda: float(trainer.beta), self._put_beta)
        if why := bridge.temperature_is_fixed:
            self.cannot["temperature"] = why
        else:
            found["temperature"] = Setting(lambda: bridge.temperature, bridge.set_temperature)
        for name, attribute in (("epsilon", "epsilon_low"), ("epsilon_high", "epsilon_high")):
            if hasattr(trainer, attribute):
                found[name] = self._plain(attribute)
        if not hasattr(trainer, "entropy_coef"):
            self.cannot["entropy_coef"] = f"{type(trainer).__name__} has no entropy bonus"
        else:
            found["entropy_coef"] = Setting(lambda: float(trainer.entropy_coef), bridge.set_entropy_coef)
        if getattr(trainer, "use_vllm", False):
            self.cannot["max_completion_length"] = "the separate sampler keeps its own limit on length"
        else:
            length = Setting(lambda: float(trainer.max_completion_length), bridge.set_length)
            found["max_completion_length"] = length
        for i, name in enumerate(trainer.reward_func_names):
            found[REWARD_WEIGHT + name] = self._reward_weight(i)
        found["probes.budget"] = Setting(lambda: budget.share, lambda value: setattr(budget, "share", value))
        return found

    def _plain(self, attribute: str) -> Setting:
        trainer = self._trainer
        return Setting(lambda: float(getattr(trainer, attribute)), lambda value: setattr(trainer, attribute, value))

    def _reward_weight(self, place: int) -> Setting:
        weights = self._trainer.reward_weights

        def put(value: float) -> None:
            weights[place] = value

        return Setting(lambda: float(weights[place]), put)

    def _learning_rate(self) -> float:
        return float(self._trainer.optimizer.param_groups[0]["lr"])

    def _put_learning_rate(self, value: float) -> None:
        """The rate is `value` now, and the schedule goes on from there: all its later rates are scaled alike."""
        scheduler, optimizer = self._trainer.lr_scheduler, self._trainer.optimizer
        now = self._learning_rate()
        if now == 0:
            raise SettingRefused("the schedule has the learning rate at 0 now, so there is nothing to scale")
        factor = value / now
        for group in optimizer.param_groups:
            group["lr"] *= factor
            group["initial_lr"] = group.get("initial_lr", group["lr"]) * factor
        inner = getattr(scheduler, "scheduler", scheduler)
        inner.base_lrs = [rate * factor for rate in inner.base_lrs]
        inner._last_lr = [group["lr"] for group in optimizer.param_groups]

    def _put_beta(self, value: float) -> None:
        if value != 0 and self._trainer.beta == 0 and (why := self._bridge.give_reference(self._base)):
            raise SettingRefused(why)
        self._trainer.beta = value
