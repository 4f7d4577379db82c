from .datasets import (
    card as card,
    describe as describe,
    fetch as fetch,
    is_dataset as is_dataset,
    list_datasets as list_datasets,
    load_table as load_table,
)
from .gathering import gather as gather
from .loading import as_runs as as_runs, load_runs as load_runs
from .runs import Runs as Runs
