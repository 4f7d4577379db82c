"""Many chains, or mode searches, of many tables in one vectorised program: what a GPU wants.

Every chain makes its n-th transition in the same step, and a step lasts as long as its longest tree. In whitened
coordinates trees are short and much alike; their depth is capped, so that one difficult member cannot hold up all
others. A member whose trees need to be deeper does not pass its checks and is sampled again, in learned coordinates.
Shapes are few: tables of one padded length go together, in numbers that are powers of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bayes_scaling.base.settings import Settings
from bayes_scaling.engine import modes, nuts
from bayes_scaling.engine.backend import fold, key_of, typed
from bayes_scaling.engine.coordinates import Coordinates, to_x
from bayes_scaling.engine.program import Program
from bayes_scaling.engine.tables import Table

# At most 2^6 - 1 gradients in a step; whitened posteriors of scaling laws need some 7-9 a transition.
DEEPEST = 6
# Chains times rows in one program. The sums of a gradient take some twenty arrays of that size: 10 GB.
CELLS = 2**26
# Chains in one program; what each has seen takes some 150 kB: 5 GB.
MOST = 2**15

Chain = tuple[np.ndarray, dict[str, np.ndarray]]


def chunks(rows: Sequence[int], chains: int) -> Iterator[list[int]]:
    """Positions of the tables that go together, given the padded rows of each: none is too large, or is padded by more
    than it holds."""
    for length in sorted(set(rows)):
        members = [i for i, n in enumerate(rows) if n == length]
        most = max(1, min(MOST // chains, CELLS // (chains * length)))
        most = 2 ** (most.bit_length() - 1)
        for begin in range(0, len(members), most):
            yield members[begin : begin + most]


def sample_in_step(
    program: Program,
    tables: Sequence[Table],
    starts: Sequence[np.ndarray],
    where: Sequence[Coordinates],
    seeds: Sequence[int],
    settings: Settings,
    device: Any,
) -> list[list[Chain]]:
    """What `Program.chain` gives, of each chain of each table.

    Parameters
    ----------
    starts
        Unconstrained, dims (chain, unknown), one a table.
    where, seeds
        One a table; chain k of a table takes the key that it has when it runs on its own.
    device
        Where to; None for the default.
    """

    def make() -> Callable[..., Any]:
        import jax

        def one(key: Any, start: Any, arrays: Any, target: Any, data: Any, mask: Any) -> Any:
            return nuts.in_step(
                lambda x: program.density.log_density(x, data, mask),
                typed(key),
                start,
                lambda z: to_x(arrays, z),
                warmup=settings.warmup,
                transitions=settings.warmup + settings.draws * settings.thin,
                target_accept=target,
                max_tree_depth=DEEPEST,
            )

        several = jax.vmap(one, in_axes=(0, 0, None, None, None, None))
        return jax.vmap(several, in_axes=(0, 0, 0, None, 0, 0))

    run = program.compiled(("in step", settings.warmup, settings.draws, settings.thin), make)
    count = settings.chains
    total = settings.warmup + settings.draws * settings.thin
    out: list[list[Chain]] = [[] for _ in tables]
    for members in chunks([len(t.mask) for t in tables], count):
        filled = _filled(members)
        keys = np.stack([[fold(key_of(seeds[i]), k) for k in range(count)] for i in filled])
        z = np.stack([where[i].to_z(starts[i]) for i in filled])
        arrays = tuple(np.stack(part) for part in zip(*(where[i].arrays for i in filled), strict=True))
        data, mask = stacked([tables[i] for i in filled], device)
        x, stats = run(keys, z, arrays, np.float64(settings.target_accept), data, mask)
        x, stats = np.asarray(x), {name: np.asarray(v) for name, v in stats.items()}
        for place, i in enumerate(members):
            out[i] = [
                nuts.kept(
                    x[place, k],
                    {name: v[place, k] for name, v in stats.items()},
                    total,
                    warmup=settings.warmup,
                    draws=settings.draws,
                    thin=settings.thin,
                )
                for k in range(count)
            ]
    return out


def locate_in_step(
    program: Program, tables: Sequence[Table], seeds: Sequence[int], device: Any
) -> list[modes.Modes | None]:
    """What `Program.locate` gives, of each table."""

    def make() -> Callable[..., Any]:
        import jax

        def one(key: Any, data: Any, mask: Any) -> Any:
            objective = lambda x: -program.density.log_density(x, data, mask)  # noqa: E731
            return jax.vmap(lambda x: modes.newton(objective, x))(modes.starts(program.density, typed(key)))

        return jax.vmap(one)

    run = program.compiled("locate in step", make)
    found: list[modes.Modes | None] = [None] * len(tables)
    for members in chunks([len(t.mask) for t in tables], modes.STARTS * (2 * program.density.size + 1)):
        filled = _filled(members)
        data, mask = stacked([tables[i] for i in filled], device)
        ends = [np.asarray(v) for v in run(np.stack([key_of(seeds[i]) for i in filled]), data, mask)]
        for place, i in enumerate(members):
            found[i] = modes.rank(*(v[place] for v in ends))
    return found


def stacked(tables: Sequence[Table], device: Any) -> tuple[Mapping[str, Any], Any]:
    """Data and masks of tables of one length, dims (table, row) or (table, ...), on `device`."""
    columns = {name: [np.asarray(t.data[name]) for t in tables] for name in tables[0].data}
    # Where some have a column of zeros and others do not, it is written out.
    data = {name: np.stack(np.broadcast_arrays(*column)) for name, column in columns.items()}
    mask = np.stack([np.asarray(t.mask) for t in tables])
    if device is None:
        return data, mask
    import jax

    moved: tuple[Mapping[str, Any], Any] = jax.device_put((data, mask), device)
    return moved


def _filled(members: list[int]) -> list[int]:
    """Members, the first repeated until their number is a power of two."""
    return members + [members[0]] * (2 ** (len(members) - 1).bit_length() - len(members))
