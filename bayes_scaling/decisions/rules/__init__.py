"""Rules of decision: what a plan is worth when its loss is uncertain, one file each; the plan each would choose.

Losses are those of the curve, discrepancy and misplacement included: under Student-t noise a new run's loss has no
mean, and its luck is the same whatever is planned. Noise enters the probability of a target only, which is about the
run that will be seen. A file in this folder whose `RULE` is a `Rule` is a rule; nothing else is to be edited.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module

from bayes_scaling.base.errors import UsageError, unknown
from bayes_scaling.decisions.rules.rule import Rule


def _found() -> dict[str, Rule]:
    modules = (import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    rules = [m.RULE for m in modules if isinstance(getattr(m, "RULE", None), Rule)]
    return {r.name: r for r in sorted(rules, key=lambda r: r.order)}


RULES: Mapping[str, Rule] = _found()
"""Rules by name, in the order they are shown."""


def check_rules(rules: Sequence[str] | None, target_loss: float | None) -> tuple[str, ...]:
    """The rules asked for, or every one that applies.

    Raises
    ------
    UsageError
        For an unknown rule, or a target rule without a target.
    """
    if rules is None:
        return tuple(name for name, rule in RULES.items() if not rule.needs_target or target_loss is not None)
    for name in rules:
        if name not in RULES:
            raise unknown("rule", name, RULES, "")
        if RULES[name].needs_target and target_loss is None:
            raise UsageError(f"The rule '{name}' needs a target loss: --target-loss 2.05.")
    return tuple(dict.fromkeys(rules))
