from .convergence import ess_bulk as ess_bulk, ess_mean as ess_mean, ess_tail as ess_tail, rhat as rhat
from .diagnostics import (
    Diagnostics as Diagnostics,
    ESS_OK as ESS_OK,
    RHAT_OK as RHAT_OK,
    diagnose as diagnose,
    ess_and_rhat as ess_and_rhat,
)
from .fitting import collect as collect, fit as fit, fit_laws as fit_laws, fit_together as fit_together
from .psis import K_LIMIT as K_LIMIT, k_limit as k_limit, smoothed as smoothed
from .result import Fit as Fit, cached_laws as cached_laws, with_ci as with_ci
from .sampling import Draws as Draws, no_mode as no_mode, sample_tables as sample_tables, starts as starts
from .storage import is_fit_file as is_fit_file, load_fit as load_fit, save_fit as save_fit, saved_key as saved_key
