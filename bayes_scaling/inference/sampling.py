"""Draws from the posterior of one or many tables: modes, coordinates, chains, verdict, and retries where it failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bayes_scaling.base.platforms import device_for
from bayes_scaling.base.progress import reporter
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.backend import fold, key_of, parallel
from bayes_scaling.engine.coordinates import Coordinates, learned, whitened
from bayes_scaling.engine.modes import Modes
from bayes_scaling.engine.program import LARGE_TABLE, Program
from bayes_scaling.engine.tables import Table
from bayes_scaling.inference.diagnostics import ESS_OK, RHAT_OK, Diagnostics, diagnose
from bayes_scaling.inference.laplace import OVERSAMPLED, Approximation, judged, laplace_tables, without_mode
from bayes_scaling.inference.vectorised import locate_in_step, sample_in_step

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
        Pointwise, dims (chain, draw, run); of the largest tables dims (chain, draw, 0), see `engine.POINTWISE_CELLS`.
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
    On processors draws depend on each member's seed and table only, never on how many members or cores there are; a
    GPU's differ from them in the last digits of sums, and so from some transition on.

    Under `settings.method` "auto" a member whose approximation can be trusted (see `laplace`) is not sampled at all.

    Raises
    ------
    FitFailedError
        Under method "laplace", if a member has no mode to approximate about.
    """
    located: list[Modes | None] = [None] * len(tables)
    alone = len(tables) == 1
    searches = [partial(program.locate, seed, t, side_by_side=alone) for seed, t in zip(seeds, tables, strict=True)]
    device = device_for(max(len(t.mask) for t in tables), len(tables))
    vectorised = in_step(device)
    if vectorised and len(tables[0].mask) <= LARGE_TABLE:
        located = locate_in_step(program, tables, seeds, device)
        searches = []
        reporter().tick(len(tables))
    ahead = [] if vectorised or settings.method != "nuts" else _compiled_ahead(program, tables[0], settings)
    for i, found in parallel([*searches, *ahead]):
        if i < len(searches):
            located[i] = found
            reporter().tick()
    if settings.method == "nuts":
        drawn = _sampled(program, tables, settings, seeds, located, range(len(tables)), patient)
        return [drawn[i] for i in range(len(tables))]
    made = laplace_tables(program, tables, seeds, OVERSAMPLED * settings.chains * settings.draws, located)
    drawn = _approximated(program, tables, made, settings, seeds)
    reporter().tick(settings.chains * len(drawn))
    left = [i for i in range(len(tables)) if i not in drawn]
    drawn |= {
        i: _after(made[i], draws)
        for i, draws in _sampled(program, tables, settings, seeds, located, left, patient).items()
    }
    return [drawn[i] for i in range(len(tables))]


def _sampled(
    program: Program,
    tables: Sequence[Table],
    settings: Settings,
    seeds: Sequence[int],
    located: Sequence[Modes | None],
    members: Iterable[int],
    patient: bool,
) -> dict[int, Draws]:
    """NUTS for some members, with the retries that `sample_tables` describes."""
    members = list(members)
    ends: dict[int, list[Any]] = {}
    drawn: dict[int, Draws] = {}
    brief = settings.brief()
    surer = replace(settings, target_accept=max(0.95, settings.target_accept))
    stages = [brief, replace(brief, target_accept=surer.target_accept), surer, surer.careful()]
    for stage in stages if patient else stages[:-1]:
        attempts: dict[int, _Attempt] = {}
        for i in members:
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
    return drawn


def _approximated(
    program: Program,
    tables: Sequence[Table],
    made: Sequence[Approximation | None],
    settings: Settings,
    seeds: Sequence[int],
) -> dict[int, Draws]:
    """Draws of the members whose approximation is to be used, by member."""
    forced = settings.method == "laplace"
    if forced and any(m is None for m in made):
        raise without_mode()
    usable = {i: m for i, m in enumerate(made) if m is not None and (m.ok or forced)}
    tasks = [partial(_from_approximation, program, tables[i], m, settings, seeds[i]) for i, m in usable.items()]
    drawn = {list(usable)[k]: draws for k, draws in parallel(tasks)}
    # What is good enough to report is for the verdict to say; few effective draws are for NUTS to mend. R-hat is not
    # asked: of a few hundred independent draws a chain it exceeds 1.01 by chance.
    return {i: d for i, d in drawn.items() if forced or not (d.diagnostics.verdict == "failed" or _few(d))}


def _from_approximation(program: Program, table: Table, made: Approximation, settings: Settings, seed: int) -> Draws:
    x, log_p = made.resampled(settings.draws, settings.chains, seed)
    prior, pointwise, values, scalars = _evaluated(program, table, x)
    verdict = judged(made, scalars | {"lp": log_p}, n=table.n, unknowns=program.density.size)
    return Draws(x, values, prior, pointwise, {"lp": log_p}, made.modes, verdict, settings)


def _after(made: Approximation | None, draws: Draws) -> Draws:
    """NUTS's draws, which say that the approximation was tried and how far it was off."""
    if made is None:
        return draws
    told = replace(draws.diagnostics, pareto_k=made.pareto_k, importance_ess=made.ess)
    return replace(draws, diagnostics=told)


def in_step(device: Any) -> bool:
    """Whether chains run in one vectorised program, rather than one a core: on a GPU."""
    return device is not None


def _compiled_ahead(program: Program, table: Table, settings: Settings) -> list[Any]:
    """Calls that do no work but have the later programs compiled on another core while the modes are sought; none once
    they are compiled."""
    if not program.first_time((settings.draws, settings.chains, settings.warmup, settings.thin, table.shape)):
        return []
    where = no_mode(program)
    key = key_of(0)
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
    return d.verdict == "failed" or d.divergences > stray or d.rhat_max > RHAT_OK or _few(draws)


def _few(draws: Draws) -> bool:
    d = draws.diagnostics
    return bool(min(d.ess_bulk_min, d.ess_tail_min) < min(ESS_OK, 0.1 * draws.x.shape[0] * draws.x.shape[1]))


def _badness(draws: Draws) -> tuple[int, int, float]:
    d = draws.diagnostics
    return ["ok", "warning", "failed"].index(d.verdict), d.divergences, d.rhat_max


def _attempt(program: Program, tables: Sequence[Table], attempts: dict[int, _Attempt]) -> dict[int, list[Any]]:
    """Run every chain of every attempt; draws and statistics of each chain, by member."""
    tasks: list[Any] = []
    owners: list[tuple[int, int]] = []
    device = device_for(max(len(t.mask) for t in tables), len(tables))
    if in_step(device):
        order = list(attempts)
        done = sample_in_step(
            program,
            [tables[i] for i in order],
            [attempts[i].starts for i in order],
            [attempts[i].coordinates for i in order],
            [attempts[i].seed for i in order],
            attempts[order[0]].settings,
            device,
        )
        reporter().tick(sum(map(len, done)))
        return dict(zip(order, done, strict=True))
    for i, attempt in attempts.items():
        for chain, start in enumerate(attempt.starts):
            key = fold(key_of(attempt.seed), chain)
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
    return np.asarray(where.points[which] + rng.standard_normal((chains, where.points.shape[1])) @ where.factor.T)


def _describe(program: Program, table: Table, chains: list[Any], found: Modes | None, settings: Settings) -> Draws:
    x = np.stack([c[0] for c in chains])
    stats = {name: np.stack([c[1][name] for c in chains]) for name in chains[0][1]}
    prior, pointwise, values, scalars = _evaluated(program, table, x)
    verdict = diagnose(scalars | {"lp": stats["lp"]}, stats, found, x, n=table.n, unknowns=program.density.size)
    kept = {k: v for k, v in stats.items() if v.ndim == 2}
    return Draws(x, values, prior, pointwise, kept, found, verdict, settings)


def _evaluated(
    program: Program, table: Table, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Log prior, pointwise log likelihood and values of draws, each beginning with dims (chain, draw); and the values
    once more, element by element."""
    shape = x.shape[:2]
    prior, pointwise, values = program.describe(x.reshape(-1, x.shape[-1]), table)
    values = {name: v.reshape(*shape, *v.shape[1:]) for name, v in values.items()}
    scalars = {
        f"{name}{list(i) if i else ''}": v[(..., *i)] for name, v in values.items() for i in np.ndindex(*v.shape[2:])
    }
    return prior.reshape(shape), pointwise.reshape(*shape, -1), values, scalars
