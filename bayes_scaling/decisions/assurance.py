"""How much compute makes a target safe: the probability of it over budgets, and the smallest that is enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError, UsageError
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.decisions.limits import NO_LIMITS, Limits
from bayes_scaling.decisions.paths import PER_DECADE, Path, Rest, budget_grid, trace
from bayes_scaling.decisions.rules.rule import Question, mcse
from bayes_scaling.decisions.rules.target import log_odds_of_missing
from bayes_scaling.prediction.losses import Losses
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.prediction.search import minimise

# The budget is found to this many decades, less than its Monte-Carlo error by far.
CLOSE = 1e-4


@dataclass(frozen=True, eq=False)
class Assurance:
    """The smallest budget that reaches a target with a probability, or why there is none.

    Parameters
    ----------
    flops
        The budget, FLOP: training, and serving where tokens are served; None where no budget up to 1e32 FLOP is safe.
    spent
        The budget of the plan below: `flops`, or the one that is surest where none is safe.
    params, tokens
        The plan that gives the target its best chance there.
    attained, attained_mcse
        The probability of that plan, and its Monte-Carlo error.
    message
        Why no budget is safe, and what binds; empty where one is.
    needed
        What each draw would have needed, were it known to be the truth: expected loss at the target, dims (draw,);
        infinite where it takes more than 1e32 FLOP.
    budgets, probabilities
        The probability of the target over budgets, each with its best plan, dims (budget,).
    """

    target_loss: float
    probability: float
    flops: float | None
    spent: float
    params: float
    tokens: float
    attained: float
    attained_mcse: float
    needed: np.ndarray
    budgets: np.ndarray
    probabilities: np.ndarray
    message: str = ""

    @property
    def overspend(self) -> float | None:
        """Expected FLOP beyond what would have been needed had the truth been known; none where it was not enough."""
        return None if self.flops is None else float(np.maximum(self.flops - self.needed, 0.0).mean())

    def to_dict(self, ci_prob: float = 0.9) -> dict[str, Any]:
        """`assurance` of the JSON of `decide`."""
        reached = self.needed[np.isfinite(self.needed)]
        likely = (self.probabilities > 0.001) & (self.probabilities < 0.999)
        shown = np.flatnonzero(likely)
        first, last = (max(shown[0] - 1, 0), shown[-1] + 2) if len(shown) else (0, len(self.budgets))
        return {
            "target_loss": self.target_loss,
            "probability": self.probability,
            "flops": self.flops,
            "spent": self.spent,
            "params": self.params,
            "tokens": self.tokens,
            "attained": self.attained,
            "attained_mcse": self.attained_mcse,
            "message": self.message or None,
            "needed": interval_value(reached, ci_prob, moments=False) if len(reached) else None,
            "unreachable": 1 - len(reached) / len(self.needed),
            "overspend": self.overspend,
            "overspend_share": None if self.flops is None or self.overspend is None else self.overspend / self.flops,
            "curve": [
                {"flops": float(c), "probability": float(p)}
                for c, p in zip(self.budgets[first:last], self.probabilities[first:last], strict=True)
            ],
        }


def assure(
    worlds: Predictive,
    target_loss: float,
    probability: float = 0.9,
    *,
    limits: Limits = NO_LIMITS,
    serving_tokens: float = 0.0,
) -> Assurance:
    """The smallest budget whose best plan ends at or below `target_loss` with at least that probability.

    The probability is about the run that will be seen, its noise included. A budget need not be spent: where more
    compute would lower the probability, the smaller budget's plan stands.

    Raises
    ------
    UsageError
        For a probability outside (0, 1) or a target that is not positive.
    InfeasibleError
        Where no budget up to 1e32 FLOP reaches the target with that probability: the message gives what is
        attainable, and the limit that binds.
    """
    found = attainable(worlds, target_loss, probability, limits=limits, serving_tokens=serving_tokens)
    if found.flops is None:
        raise InfeasibleError(found.message)
    return found


def attainable(
    worlds: Predictive,
    target_loss: float,
    probability: float = 0.9,
    *,
    limits: Limits = NO_LIMITS,
    serving_tokens: float = 0.0,
) -> Assurance:
    """As `assure`; where no budget is safe, the surest plan there is, with its probability and the reason."""
    if not 0 < probability < 1:
        raise UsageError(f"The probability {probability:g} of an assurance must lie between 0 and 1, such as 0.9.")
    if not (np.isfinite(target_loss) and target_loss > 0):
        raise UsageError(f"The target loss {target_loss:g} must be a positive number of nats per token.")
    path = trace(worlds, budget_grid(worlds), limits, serving_tokens)
    reached = path.losses.p_reached(target_loss).mean(axis=0)
    enough = np.flatnonzero(reached >= probability)
    rest, message = Rest(limits, serving_tokens), ""
    if not len(enough):
        message = _unattainable(worlds, target_loss, probability, limits, serving_tokens, path, reached)
        spent, params, tokens, hit = _plan_at(worlds, path, float(np.argmax(reached)), target_loss, rest, 0.0)
    elif enough[0] == 0:
        spent, params, tokens, hit = _plan_at(worlds, path, 0.0, target_loss, rest, 0.0)
    else:
        spent, params, tokens, hit = _cross(worlds, path, int(enough[0]), target_loss, probability, rest)
    return Assurance(
        target_loss=target_loss,
        probability=probability,
        flops=None if message else spent,
        spent=spent,
        params=params,
        tokens=tokens,
        attained=float(hit.mean()),
        attained_mcse=float(mcse(hit)),
        needed=needed(path, target_loss),
        budgets=path.budgets,
        probabilities=np.maximum.accumulate(reached),
        message=message,
    )


def _best_at(worlds: Predictive, path: Path, place: float, target: float, rest: Rest) -> float:
    """Log N that suits the target best at a fractional index of the path, less the path's own."""
    allocations = rest.allocations(worlds, path.flops_at(place))
    centre = path.log_params_at(place)
    if allocations.menu is not None:
        grid = allocations.menu
    else:
        low, high = allocations.range
        grid = np.unique(np.clip(centre + np.linspace(-2, 2, 11), low, high))

    def odds(u: np.ndarray) -> np.ndarray:
        n = np.exp(u.ravel())
        d = allocations.tokens(n)
        return log_odds_of_missing(worlds.at(n, d), Question(target_loss=target)).reshape(u.shape)

    values = odds(grid[None])
    if len(grid) > 1 and allocations.menu is None and np.isfinite(values).all():
        return float(minimise(odds, grid, values)[0][0]) - centre
    return float(grid[np.argmin(values[0])]) - centre


def _plan_at(
    worlds: Predictive, path: Path, place: float, target: float, rest: Rest, aside: float
) -> tuple[float, float, float, np.ndarray]:
    """Budget, params, tokens and each draw's probability of the target at a fractional index, `aside` from the path."""
    flops = path.flops_at(place)
    allocations = rest.allocations(worlds, flops)
    wanted = path.log_params_at(place) + aside
    if allocations.menu is not None:
        u = allocations.menu[np.argmin(np.abs(allocations.menu - wanted))]
    else:
        u = np.clip(wanted, *allocations.range)
    params = np.exp(np.array([u]))
    tokens = allocations.tokens(params)
    hit = worlds.at(params, tokens).p_reached(target)
    return flops, float(params[0]), float(tokens[0]), hit[:, 0]


def _cross(
    worlds: Predictive, path: Path, first: int, target: float, probability: float, rest: Rest
) -> tuple[float, float, float, np.ndarray]:
    """Where the probability first reaches the one asked for, with the plan that suits the target there.

    By bisection in log budget, along the path, and then along what is best for the target beside it: the probability
    hardly changes with the size there, so that once is enough.
    """
    aside, place = 0.0, float(first)
    for _ in range(2):
        low, high = max(first - 2.0, 0.0), float(first)
        while (high - low) / PER_DECADE > CLOSE:
            middle = 0.5 * (low + high)
            enough = _plan_at(worlds, path, middle, target, rest, aside)[3].mean() >= probability
            low, high = (low, middle) if enough else (middle, high)
        place = high
        if aside == 0.0:
            aside = _best_at(worlds, path, place, target, rest)
    return _plan_at(worlds, path, place, target, rest, aside)


def needed(path: Path, target_loss: float) -> np.ndarray:
    """The smallest budget at which each draw's expected loss is at the target, FLOP, dims (draw,); inf where none."""
    lowest = np.minimum.accumulate(path.losses.log_curve, axis=1)
    gap = lowest - np.log(target_loss)
    first = np.argmax(gap <= 0, axis=1)
    rows = np.arange(len(gap))
    before = np.maximum(first - 1, 0)
    log_c = np.log(path.budgets)
    a, b = gap[rows, before], gap[rows, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(first > 0, a / (a - b), 1.0)
    found = np.exp(log_c[before] + np.clip(np.nan_to_num(part, nan=1.0), 0, 1) * (log_c[first] - log_c[before]))
    return np.where((gap <= 0).any(axis=1), found, np.inf)


def _unattainable(
    worlds: Predictive,
    target: float,
    probability: float,
    limits: Limits,
    serving_tokens: float,
    path: Path,
    reached: np.ndarray,
) -> str:
    best = int(np.argmax(reached))
    text = (
        f"No budget makes it safe: a loss of {target:g} cannot be reached with probability {probability:g} by 1e32 "
        f"FLOP: at most a probability of {_floor(reached[best])} is attainable, with "
        f"{format_count(path.params[best])} parameters and {format_count(path.tokens[best])} tokens "
        f"({format_flop(path.budgets[best])} FLOP)."
    )
    binding = []
    for name, words in (("max_tokens", "tokens"), ("max_params", "parameters"), ("sizes", "sizes on offer")):
        if getattr(limits, name):
            freed = _without(limits, name)
            other = trace(worlds, path.budgets, freed, serving_tokens)
            p = other.losses.p_reached(target).mean(axis=0)
            if p.max() >= probability:
                c = other.budgets[np.argmax(p >= probability)]
                binding.append(f"The limit on {words} binds: without it about {format_flop(c)} FLOP would do.")
    if binding:
        return " ".join([text, *binding])
    # Far out a discrepancy may grow faster than the laws fall: more compute is then no surer.
    lowest = np.quantile(path.losses.with_one_luck([worlds.random_seed, 307]), probability, axis=0)
    surest = int(np.argmin(lowest))
    where, reachable = format_flop(path.budgets[surest]), _reachable(path.losses.of(np.array([surest])), probability)
    return f"{text} With that probability, {where} FLOP reach {_ceil(reachable)}."


def _reachable(losses: Losses, probability: float) -> float:
    """The loss that one run ends at or below with that probability, nats per token."""
    low, high = float(losses.log_curve.min()) - 1, float(losses.log_curve.max()) + 1
    for _ in range(40):
        middle = 0.5 * (low + high)
        enough = float(losses.p_reached(float(np.exp(middle))).mean()) >= probability
        low, high = (low, middle) if enough else (middle, high)
    return float(np.exp(high))


def _without(limits: Limits, name: str) -> Limits:
    if name == "sizes":
        return replace(limits, sizes=())
    return replace(limits, max_tokens=None) if name == "max_tokens" else replace(limits, max_params=None)


def _floor(p: float) -> str:
    return f"{np.floor(p * 1000) / 1000:.3f}"


def _ceil(loss: float) -> str:
    return f"{np.ceil(loss * 1000) / 1000:.3f}"
