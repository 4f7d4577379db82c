"""Draws from the posterior of one or many tables: modes, whitening, chains, verdict, and one retry where it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bayes_scaling.diagnose import Diagnostics, diagnose
from bayes_scaling.engine import Program, Table, jax_ready, parallel
from bayes_scaling.modes import Modes
from bayes_scaling.progress import reporter
from bayes_scaling.settings import Settings


@dataclass(frozen=True, eq=False)
class Draws:
    """Posterior draws of one table.

    Parameters
    ----------
    x
        Unconstrained, dims (chain, draw, unknown).
    values
        Parameters in their units, by name, dims (chain, draw, ...).
    log_prior
        Over x, Jacobian included, dims (chain, draw).
    log_likelihood
        Pointwise, dims (chain, draw, run).
    stats
        Sampler statistics, dims (chain, draw).
    modes, diagnostics, settings
        Where the searches ended, the verdict, and what was asked.
    """

    x: np.ndarray
    values: dict[str, np.ndarray]
    log_prior: np.ndarray
    log_likelihood: np.ndarray
    stats: dict[str, np.ndarray]
    modes: Modes | None
    diagnostics: Diagnostics
    settings: Settings


def sample_tables(program: Program, tables: Sequence[Table], settings: Settings, seeds: Sequence[int]) -> list[Draws]:
    """Posteriors of many tables under one model; a member whose verdict is not ok is redone once, carefully.

    Draws depend on each member's seed and table only, never on how many members or processors there are.
    """
    say = reporter()
    located: list[Modes | None] = [None] * len(tables)
    for i, found in parallel([partial(program.locate, seed, t) for seed, t in zip(seeds, tables, strict=True)]):
        located[i] = found
        say.tick()
    drawn = _chains(program, tables, located, settings, seeds)
    again = [i for i, d in enumerate(drawn) if _retry(d)]
    if again:
        careful = settings.careful()
        redone = _chains(
            program,
            [tables[i] for i in again],
            [located[i] for i in again],
            careful,
            [seeds[i] + 1_000_003 for i in again],
        )
        for i, candidate in zip(again, redone, strict=True):
            drawn[i] = min(drawn[i], candidate, key=_badness)
    return drawn


def _retry(draws: Draws) -> bool:
    d = draws.diagnostics
    return d.verdict == "failed" or d.divergences > 0 or d.rhat_max > 1.01 or min(d.ess_bulk_min, d.ess_tail_min) < 400


def _badness(draws: Draws) -> tuple[int, int, float]:
    d = draws.diagnostics
    return ["ok", "warning", "failed"].index(d.verdict), d.divergences, d.rhat_max


def _chains(
    program: Program,
    tables: Sequence[Table],
    located: Sequence[Modes | None],
    settings: Settings,
    seeds: Sequence[int],
) -> list[Draws]:
    jax = jax_ready()
    tasks: list[Any] = []
    wheres: list[Modes] = []
    for table, found, seed in zip(tables, located, seeds, strict=True):
        where = found if found is not None else _no_mode(program)
        wheres.append(where)
        keys = jax.random.split(jax.random.key(seed), settings.chains)
        for chain, start in enumerate(starts(where, settings.chains, seed)):
            tasks.append(
                partial(
                    program.chain,
                    keys[chain],
                    start,
                    where,
                    table,
                    settings,
                )
            )
    results: list[Any] = [None] * len(tasks)
    for i, result in parallel(tasks):
        results[i] = result
        reporter().tick()
    described = parallel(
        [
            partial(_describe, program, table, results[m * settings.chains : (m + 1) * settings.chains], found, settings)
            for m, (table, found) in enumerate(zip(tables, located, strict=True))
        ]
    )
    out: list[Any] = [None] * len(tables)
    for i, draws in described:
        out[i] = draws
    return out


def _no_mode(program: Program) -> Modes:
    d = program.density
    return Modes(d.initial[None], np.zeros(1), np.eye(d.size)[None], np.ones(1, int), 1)


def starts(where: Modes, chains: int, seed: int) -> np.ndarray:
    """Unconstrained starting points, dims (chain, unknown): scattered about the modes in proportion to their mass."""
    rng = np.random.default_rng([seed, 17])
    share = np.cumsum(where.rivals)
    which = np.minimum(np.searchsorted(share, (np.arange(chains) + 0.5) / chains), len(share) - 1)
    return where.points[which] + rng.standard_normal((chains, where.points.shape[1])) @ where.factor.T


def _describe(program: Program, table: Table, chains: list[Any], found: Modes | None, settings: Settings) -> Draws:
    x = np.stack([c[0] for c in chains])
    stats = {name: np.stack([c[1][name] for c in chains]) for name in chains[0][1]}
    shape = x.shape[:2]
    prior, pointwise, values = program.describe(x.reshape(-1, x.shape[-1]), table)
    values = {name: v.reshape(*shape, *v.shape[1:]) for name, v in values.items()}
    scalars = {
        f"{name}{list(i) if i else ''}": v[(..., *i)] for name, v in values.items() for i in np.ndindex(*v.shape[2:])
    }
    verdict = diagnose(
        scalars | {"lp": stats["lp"]}, stats, found, x, n=table.n, unknowns=program.density.size
    )
    return Draws(
        x=x,
        values=values,
        log_prior=prior.reshape(shape),
        log_likelihood=pointwise.reshape(*shape, -1),
        stats={k: v for k, v in stats.items() if v.ndim == 2},
        modes=found,
        diagnostics=verdict,
        settings=settings,
    )
