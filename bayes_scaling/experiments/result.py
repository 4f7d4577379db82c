"""`Suggestions`: what `suggest` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.provenance import envelope
from bayes_scaling.experiments.candidates import Box, Candidates
from bayes_scaling.experiments.value import Worth

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Target:
    """What one wants to know.

    Parameters
    ----------
    name
        As it is asked for.
    title
        In words.
    unit
        Of a gain.
    spread
        In words, what `Suggestions.before` and `after` are; the square root of a variance but for "law".
    """

    name: str
    title: str
    unit: str
    spread: str


TARGETS = {
    t.name: t
    for t in (
        Target(
            "params", "the best number of parameters at the budget", "variance of log params", "sd of log params"
        ),
        Target("loss", "the loss of the best plan at the budget", "variance of log loss", "sd of log loss"),
        Target(
            "target-loss",
            "whether the best plan at the budget reaches the target",
            "variance of reaching the target",
            "sd of reaching the target",
        ),
        Target("law", "which law holds", "nats about the law", "entropy of the laws, nats"),
        Target("information", "every parameter of every law", "nats about everything", ""),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Suggestion:
    """One run.

    Parameters
    ----------
    params, tokens, flops
        Counts, and the cost in FLOP.
    gain, gain_error
        What the run is expected to teach when those before it are made as well, in the target's unit, and its
        Monte-Carlo standard error; None where the normal approximation stands in, which has none.
    after
        The target's expected spread once this run and those before it are seen; None for "information".
    information, information_error
        On everything, nats, given the runs before.
    method
        "reweighted" draws, or "normal" where their weights do not hold (Pareto k).
    bad_share
        Share of the simulated worlds whose weights do not hold.
    """

    params: float
    tokens: float
    flops: float
    gain: float
    gain_error: float | None
    after: float | None
    information: float
    information_error: float | None
    method: str
    bad_share: float

    @property
    def gain_per_flop(self) -> float:
        """Nats per FLOP."""
        return self.gain / self.flops

    def to_dict(self) -> dict[str, Any]:
        """One entry of `suggestions[]` in the JSON."""
        return {**asdict(self), "gain_per_flop": self.gain_per_flop, "tokens_per_param": self.tokens / self.params}


@dataclass(frozen=True, eq=False, repr=False)
class Suggestions:
    """The runs that would teach most.

    Parameters
    ----------
    target
        What they are to teach.
    suggestions
        A batch to be made together, the run that teaches most first.
    budget, runs_budget
        FLOP of the decision, and of all suggested runs together.
    target_loss, probability
        The loss asked for, nats per token, and the probability that the best plan reaches it; None without.
    now
        The best size at the budget and the loss there, as things stand: `params` and `loss`, interval values.
    before, after
        Spread of the target as things stand, and as expected after all suggested runs.
    worth
        What the suggested runs and perfect knowledge are worth for the choice of a size.
    candidates, gain_alone
        All runs that were looked at, and what each alone would teach in the normal approximation, dims (candidate,).
    box
        The limits that candidates were kept to.
    """

    target: Target
    suggestions: tuple[Suggestion, ...]
    budget: float
    runs_budget: float
    target_loss: float | None
    probability: float | None
    now: Mapping[str, Mapping[str, float | None]]
    before: float | None
    after: float | None
    worth: Worth
    candidates: Candidates
    gain_alone: np.ndarray
    box: Box
    law_weights: Mapping[str, float]
    weights_from: str
    ci_prob: float
    random_seed: int
    runs_sha256: str
    notices: tuple[Notice, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def flops(self) -> float:
        """What the suggested runs cost together."""
        return float(sum(s.flops for s in self.suggestions))

    def rows(self) -> list[dict[str, Any]]:
        """`suggestions[]` of the JSON."""
        return [s.to_dict() for s in self.suggestions]

    def ranked(self, most: int = 10) -> list[dict[str, float]]:
        """Candidates on their own, those with the largest gain per FLOP first."""
        c, gain = self.candidates, self.gain_alone
        order = np.argsort(-gain / c.flops)[:most]
        return [
            {
                "params": float(c.params[j]),
                "tokens": float(c.tokens[j]),
                "flops": float(c.flops[j]),
                "gain": float(gain[j]),
                "gain_per_flop": float(gain[j] / c.flops[j]),
            }
            for j in order
        ]

    def to_frame(self) -> pd.DataFrame:
        """One row a suggested run."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `next`."""
        body = {
            "suggestions": self.rows(),
            "target": self.target.name,
            "gain_unit": self.target.unit,
            "spread": {"of": self.target.spread or None, "before": self.before, "after": self.after},
            "now": {name: dict(value) for name, value in self.now.items()},
            "target_loss": self.target_loss,
            "probability": self.probability,
            "budget": self.budget,
            "runs_budget": self.runs_budget,
            "flops": self.flops,
            "worth": {"knowing": self.worth.perfect.loss, "study": self.worth.study.loss},
            "value": self.worth.to_dict(),
            "per_flop": self.ranked(),
            "candidates": len(self.candidates),
            "limits": {
                name: [end if np.isfinite(end) else None for end in ends] for name, ends in asdict(self.box).items()
            },
            "law_weights": dict(self.law_weights),
            "weights_from": self.weights_from,
        }
        return envelope(
            "next",
            body,
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.random_seed,
            runs_sha256=self.runs_sha256,
            warnings=self.notices,
        )

    def __repr__(self) -> str:
        lines = [f"Runs that would teach most about {self.target.title}, {self.budget:.3g} FLOP"]
        for s in self.suggestions:
            error = "" if s.gain_error is None else f" ± {s.gain_error:.1g}"
            lines.append(
                f"  params {s.params:.3g}, tokens {s.tokens:.3g}: {s.flops:.3g} FLOP, gain {s.gain:.3g}{error}"
                f" ({self.target.unit})"
            )
        if self.before is not None and self.after is not None:
            lines.append(f"  {self.target.spread}: {self.before:.3g} now, {self.after:.3g} expected after them")
        value = self.worth
        lines.append(
            f"  expected to save {value.study.loss:.2g} nats per token at the budget, worth {value.study.flops:.2g} "
            f"FLOP, for {self.flops:.2g}; knowing the truth would save {value.perfect.loss:.2g}"
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))
