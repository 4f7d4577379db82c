"""Draws from the posterior of one or many tables: modes, coordinates, chains, verdict, and retries where it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bayes_scaling.coordinates import Coordinates, learned, whitened
from bayes_scaling.diagnose import ESS_OK, RHAT_OK, Diagnostics, diagnose
from bayes_scaling.engine import Program, Table, jax_ready, parallel
from bayes_scaling.modes import Modes
from bayes_scaling.progress import reporter
from bayes_scaling.settings import Settings

# On larger tables evaluating blank draws would cost more than compiling later.
COMPILE_AHEAD_RUNS = 2000
# Above this share of divergent transitions even the last, slow attempt is made.
RETRY_DIVERGENT = 0.002


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


@dataclass(frozen=True)
class _Attempt:
    """One member's next attempt: where its chains start, in which coordinates, under which settings and key."""

    starts: np.ndarray
    coordinates: Coordinates
    settings: Settings
    seed: int


def sample_tables(
    program: Program, tables: Sequence[Table], settings: Settings, seeds: Sequence[int], patient: bool = True
) -> list[Draws]:
    """Posteriors of many tables under one model.

    Each member is sampled in coordinates whitened at its mode. Where its chains give up, or their verdict is not clean,
    it is sampled again in coordinates learned from what they have seen, by the same compiled program; and if it is
    still not clean, once more with smaller steps and more of them (`patient=False` leaves that last attempt out).
    Draws depend on each member's seed and table only, never on how many members or processors there are.
    """
    located: list[Modes | None] = [None] * len(tables)
    searches = [partial(program.locate, seed, t) for seed, t in zip(seeds, tables, strict=True)]
    for i, found in parallel([*searches, *_compiled_ahead(program, tables[0], settings)]):
        if i < len(tables):
            located[i] = found
            reporter().tick()
    ends: dict[int, list[Any]] = {}
    drawn: dict[int, Draws] = {}
    brief = settings.brief()
    surer = replace(settings, target_accept=max(0.95, settings.target_accept))
    stages = [brief, replace(brief, target_accept=surer.target_accept), surer, surer.careful()]
    for stage in stages if patient else stages[:-1]:
        attempts: dict[int, _Attempt] = {}
        for i in range(len(tables)):
            if i not in ends:
                found = located[i]
                where = found if found is not None else no_mode(program)
                attempts[i] = _Attempt(starts(where, stage.chains, seeds[i]), whitened(where), stage, seeds[i])
            elif i not in drawn or _unclean(drawn[i], last=stage is stages[-1]):
                attempts[i] = _next(ends[i], stage, seeds[i] + 1_000_003 * (1 + stages.index(stage)))
        if not attempts:
            break
        if stage is not brief:
            reporter().more(len(attempts) * stage.chains)
        ends |= _attempt(program, tables, attempts)
        finished = {i: ends[i] for i in attempts if all(stats["complete"] for _, stats in ends[i])}
        for i, candidate in _described(program, tables, located, stage, finished).items():
            drawn[i] = min(drawn[i], candidate, key=_badness) if i in drawn else candidate
    return [drawn[i] for i in range(len(tables))]


def _compiled_ahead(program: Program, table: Table, settings: Settings) -> list[Any]:
    """Calls that do no work but have the later programs compiled on another core while the modes are sought; none once
    they are compiled."""
    if not program.first_time((settings.draws, settings.chains, settings.warmup, settings.thin, len(table.mask))):
        return []
    where = no_mode(program)
    key = jax_ready().random.key(0)
    calls: list[Any] = [
        partial(program.chain, key, where.points[0], whitened(where), table, replace(settings.brief(), budget=0))
    ]
    if table.n <= COMPILE_AHEAD_RUNS:
        blank = np.repeat(where.points, settings.chains * settings.draws, axis=0)
        calls.append(partial(program.describe, blank, table))
    return calls


def _next(chains: list[Any], settings: Settings, seed: int) -> _Attempt:
    """From where the chains ended, in coordinates learned from what they have seen."""
    seen = np.concatenate([c[0] for c in chains])
    return _Attempt(np.stack([c[0][-1] for c in chains]), learned(seen), settings, seed)


def _unclean(draws: Draws, last: bool = False) -> bool:
    """Whether to try again; the last attempt, a program of its own, is not worth a stray divergence."""
    d = draws.diagnostics
    stray = RETRY_DIVERGENT * draws.x.shape[0] * draws.x.shape[1] if last else 0
    few = min(d.ess_bulk_min, d.ess_tail_min) < min(ESS_OK, 0.1 * draws.x.shape[0] * draws.x.shape[1])
    return d.verdict == "failed" or d.divergences > stray or d.rhat_max > RHAT_OK or few


def _badness(draws: Draws) -> tuple[int, int, float]:
    d = draws.diagnostics
    return ["ok", "warning", "failed"].index(d.verdict), d.divergences, d.rhat_max


def _attempt(program: Program, tables: Sequence[Table], attempts: dict[int, _Attempt]) -> dict[int, list[Any]]:
    """Run every chain of every attempt; draws and statistics of each chain, by member."""
    jax = jax_ready()
    tasks: list[Any] = []
    owners: list[tuple[int, int]] = []
    for i, attempt in attempts.items():
        keys = jax.random.split(jax.random.key(attempt.seed), attempt.settings.chains)
        for chain, (key, start) in enumerate(zip(keys, attempt.starts, strict=True)):
            tasks.append(partial(program.chain, key, start, attempt.coordinates, tables[i], attempt.settings))
            owners.append((i, chain))
    results: dict[int, list[Any]] = {i: [None] * a.settings.chains for i, a in attempts.items()}
    for k, result in parallel(tasks):
        i, chain = owners[k]
        results[i][chain] = result
        reporter().tick()
    return results


def _described(
    program: Program,
    tables: Sequence[Table],
    located: Sequence[Modes | None],
    settings: Settings,
    chains: dict[int, list[Any]],
) -> dict[int, Draws]:
    members = list(chains)
    tasks = [partial(_describe, program, tables[i], chains[i], located[i], settings) for i in members]
    return {members[k]: draws for k, draws in parallel(tasks)}


def no_mode(program: Program) -> Modes:
    """What stands for the modes where no search converged: the prior's initial point, unwhitened."""
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
    verdict = diagnose(scalars | {"lp": stats["lp"]}, stats, found, x, n=table.n, unknowns=program.density.size)
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
