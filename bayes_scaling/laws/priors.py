"""Priors: small frozen values that print, draw, plot, widen and become PyMC variables.

`Prior.parse("lognormal(median=0.3, sigma=0.4)")` reads what the command line and the reports write; arguments go
by name only, because nobody remembers whether the second argument of a gamma is a rate or a scale. Nothing is
evaluated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bayes_scaling.base.errors import UsageError, unknown


@dataclass(frozen=True)
class Family:
    """A prior family: argument names, the checks on them, and its forms in SciPy, PyMC and under widening."""

    arguments: tuple[str, ...]
    support: tuple[float, float]
    scipy: Callable[..., Any]
    pymc: Callable[..., tuple[str, dict[str, float]]]
    widen: Callable[..., dict[str, float]]
    positive: tuple[str, ...] = ()


def _lognorm(median: float, sigma: float) -> Any:
    from scipy import stats

    return stats.lognorm(s=sigma, scale=median)


def _norm(mu: float, sigma: float) -> Any:
    from scipy import stats

    return stats.norm(mu, sigma)


def _halfnorm(sigma: float) -> Any:
    from scipy import stats

    return stats.halfnorm(scale=sigma)


def _truncnorm(mu: float, sigma: float) -> Any:
    from scipy import stats

    return stats.truncnorm(-mu / sigma, math.inf, loc=mu, scale=sigma)


def _gamma(alpha: float, beta: float) -> Any:
    from scipy import stats

    return stats.gamma(a=alpha, scale=1 / beta)


def _beta(alpha: float, beta: float) -> Any:
    from scipy import stats

    return stats.beta(alpha, beta)


def _uniform(lower: float, upper: float) -> Any:
    from scipy import stats

    return stats.uniform(lower, upper - lower)


def _widen_uniform(f: float, lower: float, upper: float) -> dict[str, float]:
    centre, half = (lower + upper) / 2, f * (upper - lower) / 2
    # A bound at zero is a fact about the quantity (an exponent is positive), not a width.
    return {"lower": 0.0 if lower == 0 else centre - half, "upper": upper * f if lower == 0 else centre + half}


FAMILIES: dict[str, Family] = {
    "lognormal": Family(
        ("median", "sigma"),
        (0.0, math.inf),
        _lognorm,
        lambda median, sigma: ("LogNormal", {"mu": math.log(median), "sigma": sigma}),
        lambda f, median, sigma: {"median": median, "sigma": sigma * f},
        positive=("median", "sigma"),
    ),
    "normal": Family(
        ("mu", "sigma"),
        (-math.inf, math.inf),
        _norm,
        lambda mu, sigma: ("Normal", {"mu": mu, "sigma": sigma}),
        lambda f, mu, sigma: {"mu": mu, "sigma": sigma * f},
        positive=("sigma",),
    ),
    "halfnormal": Family(
        ("sigma",),
        (0.0, math.inf),
        _halfnorm,
        lambda sigma: ("HalfNormal", {"sigma": sigma}),
        lambda f, sigma: {"sigma": sigma * f},
        positive=("sigma",),
    ),
    # A normal of which only the positive part is plausible.
    "truncnormal": Family(
        ("mu", "sigma"),
        (0.0, math.inf),
        _truncnorm,
        lambda mu, sigma: ("TruncatedNormal", {"mu": mu, "sigma": sigma, "lower": 0.0}),
        lambda f, mu, sigma: {"mu": mu, "sigma": sigma * f},
        positive=("sigma",),
    ),
    "gamma": Family(
        ("alpha", "beta"),
        (0.0, math.inf),
        _gamma,
        lambda alpha, beta: ("Gamma", {"alpha": alpha, "beta": beta}),
        # Same mean, f times the standard deviation.
        lambda f, alpha, beta: {"alpha": alpha / f**2, "beta": beta / f**2},
        positive=("alpha", "beta"),
    ),
    "beta": Family(
        ("alpha", "beta"),
        (0.0, 1.0),
        _beta,
        lambda alpha, beta: ("Beta", {"alpha": alpha, "beta": beta}),
        lambda f, alpha, beta: {"alpha": alpha / f**2, "beta": beta / f**2},
        positive=("alpha", "beta"),
    ),
    "uniform": Family(
        ("lower", "upper"),
        (-math.inf, math.inf),
        _uniform,
        lambda lower, upper: ("Uniform", {"lower": lower, "upper": upper}),
        _widen_uniform,
    ),
}

_SPEC = re.compile(r"\s*([A-Za-z_]+)\s*\(([^()]*)\)\s*")
_HINT = "Write for example lognormal(median=0.3, sigma=0.4)."


@dataclass(frozen=True)
class Prior:
    """One prior distribution.

    Parameters
    ----------
    family
        One of `FAMILIES`.
    arguments
        Name and value of each argument, in the family's order.
    """

    family: str
    arguments: tuple[tuple[str, float], ...]

    @classmethod
    def make(cls, family: str, /, **arguments: float) -> Prior:
        """A checked prior.

        Raises
        ------
        UsageError
            For an unknown family, a missing, superfluous, non-finite or impossible argument.
        """
        if family not in FAMILIES:
            raise unknown("prior", family, FAMILIES, _HINT)
        spec = FAMILIES[family]
        if set(arguments) != set(spec.arguments):
            raise UsageError(
                f"Prior '{family}' takes {', '.join(spec.arguments)} (by name); "
                f"got {', '.join(arguments) or 'none'}. {_HINT}"
            )
        values = {name: float(arguments[name]) for name in spec.arguments}
        for name, value in values.items():
            if not math.isfinite(value) or (name in spec.positive and value <= 0):
                need = "positive" if name in spec.positive else "finite"
                raise UsageError(f"Prior '{family}': {name}={value:g} must be {need}. {_HINT}")
        if family == "uniform" and values["lower"] >= values["upper"]:
            raise UsageError(f"Prior 'uniform': lower={values['lower']:g} must be below upper={values['upper']:g}.")
        return cls(family, tuple(values.items()))

    @classmethod
    def parse(cls, text: str) -> Prior:
        """The inverse of `str(prior)`.

        Raises
        ------
        UsageError
            If `text` is not `family(name=number, ...)`.
        """
        match = _SPEC.fullmatch(text)
        if not match:
            raise UsageError(f"Cannot read the prior '{text}'. {_HINT}")
        arguments: dict[str, float] = {}
        for item in filter(None, (part.strip() for part in match[2].split(","))):
            name, equals, number = (s.strip() for s in item.partition("="))
            if not equals:
                raise UsageError(f"Prior '{text}': arguments go by name, '{item}' has none. {_HINT}")
            if name in arguments:
                raise UsageError(f"Prior '{text}': {name} is given twice.")
            try:
                arguments[name] = float(number)
            except ValueError:
                raise UsageError(f"Prior '{text}': '{number}' is not a number. {_HINT}") from None
        return cls.make(match[1], **arguments)

    def __str__(self) -> str:
        return f"{self.family}({', '.join(f'{k}={v:g}' for k, v in self.arguments)})"

    @property
    def support(self) -> tuple[float, float]:
        """Smallest and largest value that it allows; infinite where there is none."""
        if self.family == "uniform":
            args = dict(self.arguments)
            return args["lower"], args["upper"]
        return FAMILIES[self.family].support

    @property
    def dist(self) -> Any:
        """The frozen SciPy distribution: `logpdf`, `cdf`, `ppf`, `rvs`."""
        return FAMILIES[self.family].scipy(**dict(self.arguments))

    def interval(self, prob: float = 0.9) -> tuple[float, float]:
        """The equal-tailed interval of probability `prob`."""
        low, high = self.dist.ppf([(1 - prob) / 2, (1 + prob) / 2])
        return float(low), float(high)

    def widen(self, factor: float) -> Prior:
        """The same centre, `factor` times as wide."""
        return Prior.make(self.family, **FAMILIES[self.family].widen(factor, **dict(self.arguments)))

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """The PyMC variable `name`; call inside a model context."""
        import pymc as pm

        distribution, arguments = FAMILIES[self.family].pymc(**dict(self.arguments))
        return getattr(pm, distribution)(name, **arguments, **kwargs)

    def plot(self, points: int = 200) -> Any:
        """An Altair chart of the density over the central 99 %."""
        import altair as alt
        import numpy as np
        import pandas as pd

        grid = np.linspace(*self.interval(0.99), points)
        frame = pd.DataFrame({"value": grid, "density": self.dist.pdf(grid)})
        chart = alt.Chart(frame, title=str(self), width=280, height=90)
        return chart.mark_area(opacity=0.5, line=True).encode(
            x=alt.X("value:Q", title=None), y=alt.Y("density:Q", axis=None)
        )

    def _repr_html_(self) -> str:
        low, high = self.interval()
        return f"<code>{self}</code> <small>90 %: {low:.3g} to {high:.3g}</small>"


def lognormal(*, median: float, sigma: float) -> Prior:
    """log value is normal about log `median` with standard deviation `sigma`."""
    return Prior.make("lognormal", median=median, sigma=sigma)


def normal(*, mu: float, sigma: float) -> Prior:
    """Mean `mu`, standard deviation `sigma`."""
    return Prior.make("normal", mu=mu, sigma=sigma)


def halfnormal(*, sigma: float) -> Prior:
    """The absolute value of a normal about zero with standard deviation `sigma`."""
    return Prior.make("halfnormal", sigma=sigma)


def truncnormal(*, mu: float, sigma: float) -> Prior:
    """A normal restricted to positive values."""
    return Prior.make("truncnormal", mu=mu, sigma=sigma)


def gamma(*, alpha: float, beta: float) -> Prior:
    """Shape `alpha` and rate `beta`, as in PyMC."""
    return Prior.make("gamma", alpha=alpha, beta=beta)


def uniform(*, lower: float, upper: float) -> Prior:
    """Equal density from `lower` to `upper`."""
    return Prior.make("uniform", lower=lower, upper=upper)


def parse_overrides(items: list[str] | None) -> Mapping[str, Prior]:
    """`['alpha=lognormal(median=0.3, sigma=0.4)']` as `{'alpha': Prior}`.

    Raises
    ------
    UsageError
        If an item has no name, or names a parameter twice.
    """
    priors: dict[str, Prior] = {}
    for item in items or []:
        name, equals, spec = item.partition("=")
        name = name.strip()
        if not equals or not name or "(" in name:
            raise UsageError(f"Cannot read --prior '{item}'. Write --prior 'alpha=lognormal(median=0.3, sigma=0.4)'.")
        if name in priors:
            raise UsageError(f"--prior names '{name}' twice; give it once.")
        priors[name] = Prior.parse(spec)
    return priors
