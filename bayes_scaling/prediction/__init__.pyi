from .beliefs import Beliefs as Beliefs, believed as believed
from .blending import blend as blend
from .discrepancy import Distance as Distance, distance as distance
from .ensemble import Ensemble as Ensemble, validated as validated
from .forecasting import Forecast as Forecast, decades_beyond as decades_beyond, forecast as forecast
from .frontiers import FLATNESS as FLATNESS, Frontier as Frontier, frontier as frontier
from .optimum import (
    SMALLEST_PARAMS as SMALLEST_PARAMS,
    SMALLEST_TOKENS as SMALLEST_TOKENS,
    optimal_params as optimal_params,
)
from .outcomes import Outcomes as Outcomes
from .weights import Averaging as Averaging, SCALES as SCALES, combined as combined, prior_averaging as prior_averaging
