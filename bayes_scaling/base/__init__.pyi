from .errors import (
    BayesScalingError as BayesScalingError,
    DataError as DataError,
    FitFailedError as FitFailedError,
    InfeasibleError as InfeasibleError,
    Notice as Notice,
    UsageError as UsageError,
    nearest as nearest,
    unknown as unknown,
)
from .caches import Store as Store, cache_folder as cache_folder, prune as prune, trusted as trusted
from .files import (
    dump_json as dump_json,
    finite as finite,
    write_text as write_text,
    write_bytes as write_bytes,
)
from .intervals import (
    DEFAULT_CI as DEFAULT_CI,
    interval_value as interval_value,
    tail_probs as tail_probs,
    weighted_quantile as weighted_quantile,
)
from .keywords import keywords as keywords
from .locate import PACKAGE as PACKAGE, folder as folder
from .platforms import asked as asked, device_for as device_for, on_accelerator as on_accelerator
from .progress import beside_others as beside_others, reporter as reporter, reporting as reporting
from .provenance import Stopwatch as Stopwatch, envelope as envelope, versions as versions
from .sealed import seal as seal, unseal as unseal
from .settings import Settings as Settings
from .text import harmless as harmless, json_harmless as json_harmless, printable as printable, storable as storable
from .written import Written as Written, written as written
from .units import (
    FLOP_PER_PF_DAY as FLOP_PER_PF_DAY,
    format_count as format_count,
    format_flop as format_flop,
    parse_budget as parse_budget,
    parse_count as parse_count,
    parse_flop as parse_flop,
)
