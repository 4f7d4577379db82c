"""A chunk of tables under one law: from plain arrays to plain arrays, in this process or in any other.

A chunk is what an executor is given. Every member is sampled by itself, by programs that all members share, and with
a key of its own: which chunk it is in, on how many workers, in what order, and beside whom changes no bit of it.

First the chains go in step (`hamilton`), in coordinates whitened at the mode; then, where the verdict is not clean, in
step again in coordinates learned from those draws; and where it still is not, by NUTS with all of its retries
(`sample_tables`). Each member tells which it was.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import numpy as np

from bayes_scaling.base.intervals import tail_probs
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.backend import limited_to, parallel
from bayes_scaling.engine.coordinates import Coordinates, learned, whitened
from bayes_scaling.engine.fingerprint import fingerprint, identity, table_key, told_settings
from bayes_scaling.engine.model import specify
from bayes_scaling.engine.program import Program, program_for
from bayes_scaling.engine.tables import Table
from bayes_scaling.evidence.bridge import log_evidence_of
from bayes_scaling.inference.convergence import ess_bulk, ess_tail, rhat
from bayes_scaling.inference.diagnostics import ESS_OK, RHAT_OK, Diagnostics, diagnose
from bayes_scaling.inference.sampling import no_mode, sample_tables, starts
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import get_law

# Tables of one law in a task: enough work that handing it out costs nothing, and little to lose with a worker.
CHUNK = 4
# The step size is all that chains in step have to learn.
WARMUP = 100
# Transitions a draw on the second attempt: still cheaper than NUTS.
THIN = 4
STATS = ("lp", "energy", "diverging", "n_steps", "acceptance_rate", "step_size")
INTERVAL = ("mean", "sd", "median", "lower", "upper")
METHODS = ("hmc", "hmc, learned", "nuts")


@dataclass(frozen=True, eq=False)
class Chunk:
    """One task: some tables under one law.

    Parameters
    ----------
    law, noise
        By name, or by definition where no name is known to every worker.
    scale
        The law's reference scale, `(params, tokens)`.
    priors
        Those that differ from the law's own, as text.
    names, seeds
        One a member.
    frames
        The model's columns of each member, as `model.columns` gives them, dims (run,).
    settings
        Draws and chains.
    ci_prob
        Of the interval values.
    evidence, keep_draws
        Whether log evidence is estimated, and whether draws are part of the result.
    threads
        Processors the task may use.
    """

    law: str | ScalingLaw
    noise: str | Noise
    scale: tuple[float, float]
    priors: Mapping[str, str]
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    frames: tuple[Mapping[str, np.ndarray], ...]
    settings: Settings
    ci_prob: float
    evidence: bool = False
    keep_draws: bool = True
    threads: int = 1

    def specify(self) -> tuple[ScalingLaw, Noise]:
        """Law and noise of the chunk under its priors."""
        params, tokens = self.scale
        base = get_law(self.law).with_scale(params=params, tokens=tokens)
        return specify(base, self.noise, {k: Prior.parse(v) for k, v in self.priors.items()})

    @cached_property
    def key(self) -> str | None:
        """A hash that two chunks share exactly when they are the same computation; None where that cannot be told."""
        law, noise = self.specify()
        tables = [table_key(frame) for frame in self.frames]
        asked = (law.name, self.names, self.seeds, self.ci_prob, self.evidence, self.keep_draws)
        return fingerprint(identity(law, noise), told_settings(self.settings), asked, tables)


def seed_of(random_seed: int, name: str) -> int:
    """A member's own seed, from its name: the same wherever in a fleet it stands."""
    return int.from_bytes(hashlib.sha256(f"{random_seed}\0{name}".encode("utf-8", "surrogatepass")).digest()[:4]) >> 1


def fit_chunk(chunk: Chunk) -> dict[str, np.ndarray]:
    """Sample every member of a chunk.

    Returns
    -------
    Plain arrays with dims (member, ...): `x` (chain, draw, unknown), `values` (chain, draw, parameter) and the sampler
    statistics (chain, draw), where draws are kept; `intervals` (parameter, interval), `ess_bulk`, `ess_tail`, `rhat`
    (parameter); `verdict`, `messages` (JSON) and the numbers behind them; `rhat_first`, the R-hat before any redo;
    `method`, the last that was needed; `seconds`; `error`, the message of a member that gave no draws. And
    `parameters`, `unknowns`: their names.
    """
    law, noise = chunk.specify()
    program = program_for(law, noise, chunk.frames[0])
    names = (*law.parameters, *law.derived, *noise.parameters)
    tables = [Table.padded(frame) for frame in chunk.frames]
    for table in {t.shape: t for t in tables}.values():
        _compile_once(program, table, chunk)
    with limited_to(chunk.threads):
        members = [partial(_member, program, t, s, names, chunk) for t, s in zip(tables, chunk.seeds, strict=True)]
        if chunk.threads == 1:
            found = dict(enumerate(member() for member in members))
        else:
            found = dict(parallel(members))
    stacked = {key: np.stack([found[i][key] for i in range(len(found))]) for key in found[0]}
    return stacked | {"parameters": np.array(names), "unknowns": np.array(program.density.names)}


_COMPILING = threading.Lock()


def _compile_once(program: Program, table: Table, chunk: Chunk) -> None:
    """The programs of a padded length, compiled side by side, while other threads wait rather than do the same."""
    settings = replace(chunk.settings, warmup=WARMUP)
    with _COMPILING:
        if not program.first_time(("chunk", settings.draws, settings.chains, table.shape, chunk.evidence)):
            return
        where = no_mode(program)
        begin = starts(where, settings.chains, 0)
        blank = np.zeros((settings.chains, settings.draws, program.density.size)) + where.points[0]
        calls: list[Callable[[], Any]] = [
            partial(program.hamilton, 0, begin, whitened(where), table, settings),
            partial(program.locate, 0, table, True),
            partial(program.values, blank),
        ]
        for _ in parallel(calls):
            pass


def _member(program: Program, table: Table, seed: int, names: Sequence[str], chunk: Chunk) -> dict[str, np.ndarray]:
    """One member, whatever happens to it: a failure of numbers is its own, and the others go on."""
    begin = perf_counter()
    try:
        found = _sampled(program, table, seed, names, chunk)
        error = ""
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as fault:
        found = _nothing(program, names, chunk)
        error = f"It could not be sampled: {type(fault).__name__}: {fault}"
    return found | {"error": np.array(error), "seconds": np.array(perf_counter() - begin)}


def _sampled(program: Program, table: Table, seed: int, names: Sequence[str], chunk: Chunk) -> dict[str, np.ndarray]:
    modes = program.locate(seed, table, brief=True)
    where = modes if modes is not None else no_mode(program)
    settings = replace(chunk.settings, warmup=WARMUP)

    def in_step(key: int, begin: np.ndarray, coordinates: Coordinates, settings: Settings) -> _Sample:
        x, stats = program.hamilton(key, begin, coordinates, table, settings)
        values = _stacked(program.values(x), names)
        measures = _measures(values, stats["lp"])
        verdict = diagnose({}, stats, modes, x, n=table.n, unknowns=program.density.size, measures=measures)
        return _Sample(x, values, stats, verdict, measures)

    best = first = in_step(seed, starts(where, settings.chains, seed), whitened(where), settings)
    method, gradients = METHODS[0], first.diagnostics.gradients
    if not _clean(best, settings):
        seen = best.x.reshape(-1, best.x.shape[-1])
        again = in_step(seed + 1_000_003, best.x[:, -1], learned(seen), replace(settings, thin=THIN))
        best, method = min(best, again, key=_badness), METHODS[1]
        gradients += again.diagnostics.gradients
    if not _clean(best, settings):
        (drawn,) = sample_tables(program, [table], chunk.settings, [seed])
        values = _stacked(drawn.values, names)
        last = _Sample(drawn.x, values, drawn.stats, drawn.diagnostics, _measures(values, drawn.stats["lp"]))
        best, method = min(best, last, key=_badness), METHODS[2]
        gradients += last.diagnostics.gradients
    return _arrays(program, table, seed, chunk, best) | {
        "rhat_first": np.array(first.diagnostics.rhat_max),
        "method": np.array(method, dtype="U20"),
        "searches": np.array(0 if modes is None else modes.searches),
        "gradients": np.array(gradients),
    }


@dataclass(frozen=True, eq=False)
class _Sample:
    """Draws by whatever way: x, dims (chain, draw, unknown), values, dims (chain, draw, parameter), and what is known
    of them; `measures` as `convergence` gives them, of each parameter and of the log density."""

    x: np.ndarray
    values: np.ndarray
    stats: dict[str, np.ndarray]
    diagnostics: Diagnostics
    measures: np.ndarray


def _stacked(values: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    return np.stack([values[name] for name in names], axis=-1)


def _measures(values: np.ndarray, lp: np.ndarray) -> np.ndarray:
    """Bulk ESS, tail ESS and R-hat of each parameter, then of the log density, dims (quantity, 3)."""
    draws = np.moveaxis(np.concatenate([values, lp[..., None]], axis=-1), -1, 0)
    measures = np.stack([ess_bulk(draws), ess_tail(draws), rhat(draws)], axis=-1)
    return np.where(np.isfinite(draws).all(axis=(1, 2))[:, None], measures, [0.0, 0.0, np.inf])


def _clean(sample: _Sample, settings: Settings) -> bool:
    d = sample.diagnostics
    few = min(d.ess_bulk_min, d.ess_tail_min) < min(ESS_OK, 0.1 * settings.chains * settings.draws)
    return not (d.verdict == "failed" or d.divergences or d.rhat_max > RHAT_OK or few)


def _badness(sample: _Sample) -> tuple[int, int, float]:
    d = sample.diagnostics
    return ["ok", "warning", "failed"].index(d.verdict), d.divergences, d.rhat_max


def _arrays(program: Program, table: Table, seed: int, chunk: Chunk, sample: _Sample) -> dict[str, np.ndarray]:
    values = sample.values
    bulk, tail, disagreement = sample.measures[:-1].T
    d = sample.diagnostics
    out = {
        "intervals": _intervals(values.reshape(-1, values.shape[-1]), chunk.ci_prob),
        "ess_bulk": bulk,
        "ess_tail": tail,
        "rhat": disagreement,
        "verdict": np.array(d.verdict, dtype="U7"),
        "messages": np.array(json.dumps(d.messages)),
        "rhat_max": np.array(d.rhat_max),
        "ess_bulk_min": np.array(d.ess_bulk_min),
        "ess_tail_min": np.array(d.ess_tail_min),
        "divergences": np.array(d.divergences),
        "ebfmi_min": np.array(d.ebfmi_min),
        "log_evidence": np.full(2, np.nan),
        "log_evidence_ok": np.array(False),
    }
    if chunk.evidence:
        z = log_evidence_of(program, table, sample.x, sample.stats["lp"], seed)
        out |= {"log_evidence": np.array([z.value, z.sd]), "log_evidence_ok": np.array(z.ok)}
    if chunk.keep_draws:
        out |= {"x": sample.x, "values": values} | {name: sample.stats[name] for name in STATS}
    return out


def _intervals(values: np.ndarray, ci_prob: float) -> np.ndarray:
    """Interval values of draws with dims (draw, parameter): dims (parameter, 5), in the order of `INTERVAL`."""
    low, high = tail_probs(ci_prob)
    with np.errstate(invalid="ignore", over="ignore"):  # a constant may overflow where its exponent is hardly known
        lower, median, upper = np.quantile(values, [low, 0.5, high], axis=0)
        return np.stack([values.mean(axis=0), values.std(axis=0), median, lower, upper], axis=1)


def _nothing(program: Program, names: Sequence[str], chunk: Chunk) -> dict[str, np.ndarray]:
    """What stands in the place of a member without draws."""
    count, shape = len(names), (chunk.settings.chains, chunk.settings.draws)
    gap = np.array(np.nan)
    out = {
        "intervals": np.full((count, len(INTERVAL)), np.nan),
        **{name: np.full(count, np.nan) for name in ("ess_bulk", "ess_tail", "rhat")},
        "verdict": np.array("failed", dtype="U7"),
        "messages": np.array("[]"),
        **dict.fromkeys(("rhat_max", "ess_bulk_min", "ess_tail_min", "ebfmi_min", "rhat_first"), gap),
        **{name: np.array(0) for name in ("divergences", "gradients", "searches")},
        "method": np.array("", dtype="U20"),
        "log_evidence": np.full(2, np.nan),
        "log_evidence_ok": np.array(False),
    }
    if chunk.keep_draws:
        out |= {"x": np.full((*shape, program.density.size), np.nan), "values": np.full((*shape, count), np.nan)}
        out |= {name: np.zeros(shape, bool if name == "diverging" else float) for name in STATS}
    return out
