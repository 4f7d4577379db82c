"""Several posteriors with weights, treated as one: what forecasts and frontiers average over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_scaling.base.errors import Notice, UsageError, unknown
from bayes_scaling.inference.result import Fit
from bayes_scaling.prediction.weights import Averaging, under_equal_priors


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Fits of one table and their weights.

    Parameters
    ----------
    fits
        One a law.
    weights
        dims (law,), summing to one.
    basis
        Where the weights come from, in words.
    averaging
        The validated rule by which forecasts blend the laws and widen with distance; None for a plain mixture of the
        laws, each believed as it stands.
    told
        What was noticed when the weights were learned.
    """

    fits: tuple[Fit, ...]
    weights: np.ndarray
    basis: str = ""
    averaging: Averaging | None = None
    told: tuple[Notice, ...] = ()

    @property
    def law_weights(self) -> dict[str, float]:
        """Weight of each law, by name."""
        return {fit.law.name: float(w) for fit, w in zip(self.fits, self.weights, strict=True)}

    @property
    def weights_told(self) -> list[dict[str, Any]]:
        """`law`, `prior`, `data` and `final` weight of each law; `prior` and `data` None where no folds weighed it."""
        known = None if self.averaging is None else self.averaging.sources
        return [
            {
                "law": name,
                "prior": None if known is None else known.prior[name],
                "data": None if known is None else known.data[name],
                "final": weight,
            }
            for name, weight in self.law_weights.items()
        ]

    @property
    def trusted_alike(self) -> Ensemble | None:
        """The same had every law been trusted alike before the table's own folds; None where that is not known, or one
        law stands alone."""
        rule = None if self.averaging is None else under_equal_priors(self.averaging)
        if rule is None or len(self.fits) < 2:
            return None
        return validated(self.fits, rule, self.told)

    @property
    def name(self) -> str:
        """The law's name where there is one law, else "average"."""
        return self.fits[0].law.name if len(self.fits) == 1 else "average"

    @property
    def draw_weights(self) -> np.ndarray:
        """Weight of each draw, laws joined in order, dims (draw,)."""
        return np.concatenate([np.full(f.n_draws, w / f.n_draws) for f, w in zip(self.fits, self.weights, strict=True)])

    @property
    def draw_laws(self) -> np.ndarray:
        """Law of each draw, dims (draw,)."""
        return np.concatenate([np.full(f.n_draws, f.law.name, dtype=object) for f in self.fits])

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the fits and the weighing have to say, each thing once."""
        return tuple(dict.fromkeys([*(n for f in self.fits for n in f.notices), *self.told]))

    @property
    def ok(self) -> bool:
        """Whether every fit that has a weight passed its diagnostics."""
        return all(f.ok for f, w in zip(self.fits, self.weights, strict=True) if w > 0)


def validated(fits: Sequence[Fit], rule: Averaging, told: Sequence[Notice] = ()) -> Ensemble:
    """The fits under a rule learned by forward validation; a failed fit is left out and its weight shared."""
    good = tuple(f for f in fits if f.ok) or tuple(fits)
    weights = np.array([rule.weights[f.law.name] for f in good])
    return Ensemble(good, weights / weights.sum(), rule.basis, rule, tuple(told))


def ensemble(
    fits: Fit | Ensemble | Sequence[Fit], weights: Sequence[float] | Mapping[str, float] | None = None, basis: str = ""
) -> Ensemble:
    """One or several fits as an `Ensemble`.

    Parameters
    ----------
    weights
        One a fit, or by law name; equal where None. Scaled to sum to one. Of an `Ensemble` they take the place of its
        own: its laws are blended about them, as wide as its rule makes them.

    Raises
    ------
    UsageError
        If fits are of different tables, or the weights do not match or are not usable.
    """
    if isinstance(fits, Ensemble):
        return fits if weights is None else _reweighed(fits, weights)
    members: tuple[Any, ...] = (fits,) if isinstance(fits, Fit) else tuple(fits)
    if not members:
        raise UsageError("An average needs at least one fit.")
    if len({f.runs.sha256 for f in members}) > 1:
        raise UsageError("Only fits of the same runs can be averaged; these come from different tables.")
    if weights is None:
        values = np.full(len(members), 1 / len(members))
        basis = basis or "equal"
    else:
        values = _values(members, weights)
        basis = basis or "given"
    return Ensemble(members, values / values.sum(), basis)


def _reweighed(group: Ensemble, weights: Sequence[float] | Mapping[str, float]) -> Ensemble:
    """The same fits under other weights. A validated rule keeps its discrepancy and says that its weights are given."""
    values = _values(group.fits, weights)
    values = values / values.sum()
    rule = group.averaging
    if rule is not None:
        by_law = {f.law.name: float(w) for f, w in zip(group.fits, values, strict=True)}
        rule = replace(rule, weights=by_law, basis="given")
    return replace(group, weights=values, basis="given", averaging=rule)


def _values(members: Sequence[Fit], weights: Any) -> np.ndarray:
    """Weights as given, dims (law,), not negative and not all zero."""
    names = [f.law.name for f in members]
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in names:
                raise unknown("law in the weights", name, names, "Give one weight for each of these laws.")
        missing = [name for name in names if name not in weights]
        if missing:
            raise UsageError(f"No weight for {', '.join(missing)}; give one for each law.")
        weights = [weights[name] for name in names]
    try:
        values = np.asarray(list(weights), float)
    except (TypeError, ValueError):
        values = np.full(0, np.nan)
    if values.shape != (len(names),) or not np.all(np.isfinite(values)) or values.min() < 0 or values.sum() <= 0:
        raise UsageError(
            f"Weights {weights!r} do not fit the laws {', '.join(names)}: give one number each, none negative, or a "
            "mapping from their names."
        )
    return values
