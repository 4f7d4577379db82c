"""bayes_scaling: neural scaling laws as probabilistic models.

Names are imported when first used, so that `import bayes_scaling` costs nothing and the quick commands stay quick. No
module has the name of a public function: importing it would put the module in the function's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bayes_scaling._version import __version__

_HOMES = {
    "Runs": "runs",
    "load_runs": "load",
    "ScalingLaw": "law",
    "Parameter": "law",
    "Prior": "prior",
    "all_laws": "laws",
    "get_law": "laws",
    "build": "model",
    "Fit": "fitting",
    "fit": "fitting",
    "sample": "fitting",
    "Ensemble": "ensemble",
    "average": "averages",
    "Backtest": "backtesting",
    "backtest": "backtesting",
    "Evidence": "comparing",
    "compare": "comparing",
    "Fleet": "members",
    "fleet": "fleets",
    "cluster": "clusters",
    "Forecast": "forecasting",
    "forecast": "forecasting",
    "Frontier": "frontiers",
    "frontier": "frontiers",
    "CostModel": "costs",
    "Limits": "limits",
    "Decision": "decision",
    "decide": "deciding",
    "Suggestions": "suggestions",
    "suggest": "suggesting",
    "Report": "reporting",
    "report": "reporting",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module = importlib.import_module(f"bayes_scaling.{_HOMES[name]}")
        value = getattr(module, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'bayes_scaling' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from bayes_scaling.averages import average
    from bayes_scaling.backtesting import Backtest, backtest
    from bayes_scaling.clusters import cluster
    from bayes_scaling.comparing import Evidence, compare
    from bayes_scaling.costs import CostModel
    from bayes_scaling.deciding import decide
    from bayes_scaling.decision import Decision
    from bayes_scaling.ensemble import Ensemble
    from bayes_scaling.fitting import Fit, fit, sample
    from bayes_scaling.fleets import fleet
    from bayes_scaling.forecasting import Forecast, forecast
    from bayes_scaling.frontiers import Frontier, frontier
    from bayes_scaling.law import Parameter, ScalingLaw
    from bayes_scaling.laws import all_laws, get_law
    from bayes_scaling.limits import Limits
    from bayes_scaling.load import load_runs
    from bayes_scaling.members import Fleet
    from bayes_scaling.model import build
    from bayes_scaling.prior import Prior
    from bayes_scaling.reporting import Report, report
    from bayes_scaling.runs import Runs
    from bayes_scaling.suggesting import suggest
    from bayes_scaling.suggestions import Suggestions
