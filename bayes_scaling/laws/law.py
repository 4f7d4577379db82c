"""`ScalingLaw`: a hypothesis about how the loss falls, written once and run on NumPy, JAX and PyTensor.

A law is data: a formula, priors on its free parameters, the familiar constants derived from them, its source,
what was published, and a check point. Amplitudes are parametrised by what a term contributes, in nats, at a
reference scale (1e9 parameters, 2e10 tokens unless told otherwise): a prior on Chinchilla's bare A means something
else for every alpha, a prior on its contribution does not. `A` and `B` are derived, and may still be given a prior
directly (`direct`), in which case the contribution becomes the derived one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from bayes_scaling.base.errors import UsageError, unknown
from bayes_scaling.laws.priors import Prior

Formula = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Scale:
    """The reference scale at which amplitudes are stated: `params` parameters, `tokens` tokens."""

    params: float = 1e9
    tokens: float = 2e10

    def __str__(self) -> str:
        return f"{self.params:.4g} parameters, {self.tokens:.4g} tokens"


@dataclass(frozen=True)
class Parameter:
    """A free parameter: its prior, the reason for that prior, and its unit."""

    prior: Prior
    reason: str
    unit: str = ""


@dataclass(frozen=True)
class Direct:
    """Lets a derived constant carry the prior: `replaces` is then computed from it by `inverse(p, scale)`."""

    replaces: str
    inverse: Formula


@dataclass(frozen=True)
class Published:
    """Constants as printed in a source, in the units of the law's derived and free names."""

    source: str
    values: Mapping[str, float]
    corpus: str = ""
    note: str = ""


@dataclass(frozen=True)
class CheckPoint:
    """A value worked out by hand from published constants; the contract test holds the formula to it."""

    values: Mapping[str, float]
    inputs: Mapping[str, float]
    loss: float
    source: str
    rtol: float = 1e-6


@dataclass(frozen=True)
class ScalingLaw:
    """One hypothesis.

    Parameters
    ----------
    name, title
        The name used on the command line; the name used in prose.
    equation
        The formula as a person would write it.
    formula
        `formula(p, x)` gives the expected loss in nats per token. `p` has the free parameters as attributes; `x`
        has the columns named in `inputs` (counts) and, besides, `x.n` = params / scale.params and
        `x.d` = tokens / scale.tokens. It uses operators and `bayes_scaling.ops` only.
    parameters
        Free parameters in order, with their priors.
    derived
        Constants computed from the free ones: name -> `function(p, scale)`.
    direct
        Derived constants that a user may put a prior on instead.
    citation
        Paper and equation.
    published, check
        Constants in print, and the value the formula must reproduce.
    decreasing_in
        Inputs in which the loss never rises.
    trust
        Relative weight in averages before a table's own forward validation: how well the law has extrapolated on
        other tables (docs/forecasts.md).
    optimum, optimum_exponent
        `function(p, scale, flops)`: N* under C = 6 N D, and `function(p)`: a = d log N* / d log C, where they have a
        closed form, else None (found numerically).
    """

    name: str
    title: str
    equation: str
    formula: Formula
    parameters: Mapping[str, Parameter]
    citation: str
    derived: Mapping[str, Formula] = field(default_factory=dict)
    direct: Mapping[str, Direct] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    check: CheckPoint | None = None
    inputs: tuple[str, ...] = ("params", "tokens")
    decreasing_in: tuple[str, ...] = ("params", "tokens")
    optimum: Callable[[Any, Any, Any], Any] | None = None
    optimum_exponent: Callable[[Any], Any] | None = None
    trust: float = 1.0
    scale: Scale = Scale()

    def loss(self, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        """Expected loss in nats per token; shapes follow NumPy broadcasting of `values` against `inputs`.

        `values` may state the free parameters, or, for any of `direct`, the derived constant in place of the free
        one it replaces (so published `A` and `B` can be evaluated as printed).
        """
        p = SimpleNamespace(**self.free_values(values))
        x = SimpleNamespace(**{name: inputs[name] for name in self.inputs})
        x.n = inputs["params"] / self.scale.params
        x.d = inputs["tokens"] / self.scale.tokens
        return self.formula(p, x)

    def free_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The free parameters from `values`, inverting `direct` constants where those are what is given."""
        known = dict(values)
        for name, direct in self.direct.items():
            if name in known and direct.replaces not in known:
                known[direct.replaces] = direct.inverse(SimpleNamespace(**known), self.scale)
        return {name: known[name] for name in self.parameters}

    def derived_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Derived constants by name, in the dims of `values`, which may state constants as published."""
        p = SimpleNamespace(**self.free_values(values))
        return {name: function(p, self.scale) for name, function in self.derived.items()}

    def with_scale(self, *, params: float, tokens: float) -> ScalingLaw:
        """The same law with its amplitudes stated at another reference scale."""
        return replace(self, scale=Scale(float(params), float(tokens)))

    def with_priors(self, priors: Mapping[str, Prior]) -> ScalingLaw:
        """The same law under other priors; a `direct` constant named here takes the place of what it replaces.

        Raises
        ------
        UsageError
            If a name belongs to neither, or both members of a replaced pair are given.
        """
        parameters, derived, direct = dict(self.parameters), dict(self.derived), dict(self.direct)
        for name, prior in priors.items():
            if name in parameters:
                parameters[name] = replace(parameters[name], prior=prior, reason="given by the user")
            elif name in direct:
                rule = direct.pop(name)
                if rule.replaces in priors:
                    raise UsageError(f"Law '{self.name}': give a prior to '{name}' or to '{rule.replaces}', not both.")
                return self._swapped(name, prior, rule).with_priors({k: v for k, v in priors.items() if k != name})
            else:
                hint = f"See 'bayes-scaling laws {self.name}'."
                raise unknown(f"parameter of law '{self.name}'", name, [*parameters, *direct], hint)
        return replace(self, parameters=parameters, derived=derived, direct=direct)

    def _swapped(self, name: str, prior: Prior, rule: Direct) -> ScalingLaw:
        parameters = {k: v for k, v in self.parameters.items() if k != rule.replaces}
        parameters[name] = Parameter(prior, "given by the user", "")
        inner = _Swapped(self.formula, rule, self.scale)
        derived: dict[str, Formula] = {k: _SwappedDerived(f, rule) for k, f in self.derived.items() if k != name}
        derived[rule.replaces] = rule.inverse
        exponent = self.optimum_exponent and _SwappedExponent(self.optimum_exponent, rule, self.scale)
        optimum = self.optimum and _SwappedOptimum(self.optimum, rule)
        others = {k: v for k, v in self.direct.items() if k != name and v.replaces != rule.replaces}
        return replace(
            self,
            formula=inner,
            parameters=parameters,
            derived=derived,
            direct=others,
            optimum=optimum,
            optimum_exponent=exponent,
        )

    def __repr__(self) -> str:
        priors = "\n".join(f"  {k} ~ {v.prior}" for k, v in self.parameters.items())
        return f"ScalingLaw {self.name}: {self.equation}\n{priors}\n  reference scale: {self.scale}"


def _completed(p: Any, rule: Direct, scale: Scale) -> SimpleNamespace:
    return SimpleNamespace(**vars(p), **{rule.replaces: rule.inverse(p, scale)})


@dataclass(frozen=True)
class _Swapped:
    """A formula whose replaced parameter is computed from the direct one; a class, so that it pickles."""

    formula: Formula
    rule: Direct
    scale: Scale

    def __call__(self, p: Any, x: Any) -> Any:
        return self.formula(_completed(p, self.rule, self.scale), x)


@dataclass(frozen=True)
class _SwappedDerived:
    function: Formula
    rule: Direct

    def __call__(self, p: Any, scale: Scale) -> Any:
        return self.function(_completed(p, self.rule, scale), scale)


@dataclass(frozen=True)
class _SwappedExponent:
    function: Callable[[Any], Any]
    rule: Direct
    scale: Scale

    def __call__(self, p: Any) -> Any:
        return self.function(_completed(p, self.rule, self.scale))


@dataclass(frozen=True)
class _SwappedOptimum:
    function: Callable[[Any, Any, Any], Any]
    rule: Direct

    def __call__(self, p: Any, scale: Scale, flops: Any) -> Any:
        return self.function(_completed(p, self.rule, scale), scale, flops)
