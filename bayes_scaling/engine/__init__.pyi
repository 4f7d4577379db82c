from .backend import (
    cores as cores,
    fold as fold,
    jax_ready as jax_ready,
    key_of as key_of,
    limited_to as limited_to,
    parallel as parallel,
    typed as typed,
)
from .coordinates import Coordinates as Coordinates, learned as learned, to_x as to_x, whitened as whitened
from .density import Data as Data, Density as Density
from .fingerprint import (
    computation as computation,
    fingerprint as fingerprint,
    fit_key as fit_key,
    identity as identity,
    priors_of as priors_of,
    table_key as table_key,
    told_settings as told_settings,
)
from .model import (
    build as build,
    columns as columns,
    input_column as input_column,
    specify as specify,
    specify_all as specify_all,
)
from .modes import Modes as Modes
from .program import (
    LARGE_TABLE as LARGE_TABLE,
    Program as Program,
    keeps_terms as keeps_terms,
    program_for as program_for,
    program_of as program_of,
)
from .slices import DEATHS as DEATHS, Guide as Guide, State as State, log_base as log_base
from .tables import Table as Table, padded_length as padded_length
