from .compute import ComputeModel as ComputeModel, SIX_ND as SIX_ND
from .law import (
    CheckPoint as CheckPoint,
    Direct as Direct,
    Parameter as Parameter,
    Published as Published,
    Scale as Scale,
    ScalingLaw as ScalingLaw,
)
from .noise import NOISES as NOISES, Noise as Noise, get_noise as get_noise
from .ops import (
    balance as balance,
    exp as exp,
    expm1 as expm1,
    gammaln as gammaln,
    log as log,
    log1p as log1p,
    logaddexp as logaddexp,
    maximum as maximum,
    minimum as minimum,
    power as power,
    sqrt as sqrt,
)
from .prior_draws import (
    parameters_of as parameters_of,
    prior_points as prior_points,
    prior_values as prior_values,
    unconstrained as unconstrained,
)
from .prior_predictive import PriorPredictive as PriorPredictive
from .priors import (
    FAMILIES as FAMILIES,
    Prior as Prior,
    gamma as gamma,
    halfnormal as halfnormal,
    lognormal as lognormal,
    normal as normal,
    parse_overrides as parse_overrides,
    truncnormal as truncnormal,
    uniform as uniform,
)
from .registry import (
    STANDARD as STANDARD,
    all_laws as all_laws,
    get_law as get_law,
    input_names as input_names,
    laws_or_standard as laws_or_standard,
)
