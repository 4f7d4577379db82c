"""Workers beyond this process: a Dask cluster that is running somewhere, or one of this machine's own processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bayes_scaling.base.errors import DataError, UsageError

INSTALL = "Install it: pip install 'bayes-scaling[dask]'."
# Seconds to wait for a scheduler to answer.
TIMEOUT = 10.0
# A task that lost its worker is given to another so often.
RETRIES = 3
# One thread a worker: XLA, BLAS and OpenMP would otherwise each take every core for themselves.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # XLA takes its number of threads from here. Its flag against threads in Eigen would have other code compiled than
    # the caller has, and the last digits differ.
    "NPROC": "1",
}


@contextmanager
def cluster(scheduler: str | None = None, workers: int | None = None, timeout: float = TIMEOUT) -> Iterator[Any]:
    """An executor for `fleet` over Dask workers.

    Parameters
    ----------
    scheduler
        Address of a scheduler that is running, such as "tcp://10.0.0.5:8786". Its workers need bayes_scaling of the
        same version, and one thread each (`dask worker --nthreads 1`).
    workers
        So many processes of this machine, one thread each, for as long as the block lasts.
    timeout
        Seconds to wait for the scheduler.

    Raises
    ------
    UsageError
        If both or none are given, or Dask is not installed.
    DataError
        If the scheduler does not answer, or has no workers.
    """
    if (scheduler is None) == (workers is None):
        raise UsageError("Give the address of a scheduler or a number of workers, one of the two.")
    if workers is not None and workers < 1:
        raise UsageError(f"workers={workers}: give at least 1.")
    try:
        import distributed
    except ImportError as error:
        raise UsageError(f"Clusters need Dask, and '{error.name}' is not installed. {INSTALL}") from error
    if scheduler is not None:
        with _reached(distributed, scheduler, timeout) as client:
            yield client.get_executor(pure=False, retries=RETRIES)
        return
    import dask

    # Set before the processes start: once jaxlib is loaded it is too late.
    mine = dask.config.get("distributed.nanny.pre-spawn-environ", {}) | ONE_THREAD
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": mine}),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            silence_logs=50,
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client.get_executor(pure=False, retries=RETRIES)


@contextmanager
def _reached(distributed: Any, scheduler: str, timeout: float) -> Iterator[Any]:
    try:
        client = distributed.Client(scheduler, timeout=timeout)
    except (OSError, TimeoutError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"No Dask scheduler answered at {scheduler} within {timeout:g} s ({reason}). Start one with 'dask "
            "scheduler' and workers with 'dask worker ADDRESS --nthreads 1', or use --workers N, processes of this "
            "machine."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except (TimeoutError, OSError) as error:
            raise DataError(
                f"The scheduler at {scheduler} has no workers. Start some: dask worker {scheduler} --nthreads 1."
            ) from error
        yield client
