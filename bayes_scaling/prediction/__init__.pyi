from .best_sizes import Best as Best, best_sizes as best_sizes
from .discrepancy import Distance as Distance, distance as distance
from .ensemble import Ensemble as Ensemble, validated as validated
from .forecasting import Forecast as Forecast, decades_beyond as decades_beyond, forecast as forecast
from .frontiers import FLATNESS as FLATNESS, Frontier as Frontier, frontier as frontier
from .losses import Losses as Losses
from .misplacement import Misplacement as Misplacement
from .optimum import (
    SMALLEST_PARAMS as SMALLEST_PARAMS,
    SMALLEST_TOKENS as SMALLEST_TOKENS,
    optimal_params as optimal_params,
)
from .drawing import LawDraws as LawDraws, pooled as pooled, predictive as predictive
from .predictive import Predictive as Predictive
from .weights import Averaging as Averaging, SCALES as SCALES, combined as combined, prior_averaging as prior_averaging
