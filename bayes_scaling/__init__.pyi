from ._version import __version__ as __version__
from .base.errors import (
    BayesScalingError as BayesScalingError,
    DataError as DataError,
    FitFailedError as FitFailedError,
)
from .base.errors import InfeasibleError as InfeasibleError, Notice as Notice, UsageError as UsageError
from .base.settings import Settings as Settings
from .decisions.costs import CostModel as CostModel
from .decisions.deciding import decide as decide
from .decisions.limits import Limits as Limits
from .decisions.plans import Plan as Plan
from .decisions.result import Decision as Decision
from .engine.model import build as build
from .evidence.comparing import compare as compare
from .evidence.exponents import exponents as exponents
from .evidence.result import Evidence as Evidence
from .experiments.result import Suggestions as Suggestions
from .experiments.suggesting import suggest as suggest
from .fleets.clusters import cluster as cluster
from .fleets.fitting import fleet as fleet
from .fleets.result import Fleet as Fleet
from .fleets.storage import load_fleet as load_fleet, save_fleet as save_fleet
from .inference.fitting import fit as fit, sample as sample
from .inference.result import Fit as Fit
from .inference.storage import load_fit as load_fit, save_fit as save_fit
from .laws.law import Parameter as Parameter, ScalingLaw as ScalingLaw
from .laws.priors import Prior as Prior
from .laws.registry import all_laws as all_laws, get_law as get_law
from .prediction.ensemble import Ensemble as Ensemble
from .prediction.forecasting import Forecast as Forecast, forecast as forecast
from .prediction.frontiers import Frontier as Frontier, frontier as frontier
from .prediction.sizing import Sizing as Sizing, sizing as sizing
from .reporting.analysis import Report as Report, report as report
from .runs.loading import load_runs as load_runs
from .runs.runs import Runs as Runs
from .validation.averaging import average as average
from .validation.backtesting import Backtest as Backtest, backtest as backtest
