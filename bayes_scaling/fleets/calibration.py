"""Tables simulated from a law's prior, and simulation-based calibration of the posteriors fitted to them.

If parameters are drawn from the prior and runs from the model, the rank of each parameter among its own posterior
draws is uniform: Talts et al. (2018), arXiv:1804.06788. The log likelihood is ranked too, which sees errors that
marginal ranks miss: Modrak et al. (2022), arXiv:2211.02383. So is what the posterior is for: the loss, a new run and
the best size one decade of compute beyond the table, whose ranks say whether forecasts and frontiers cover.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bayes_scaling.base.errors import unknown
from bayes_scaling.base.progress import reporter
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.backend import cores
from bayes_scaling.engine.model import specify
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table, padded_length
from bayes_scaling.fleets.chunks import Chunk, fit_chunk
from bayes_scaling.inference.sampling import sample_tables
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.prediction.optimum import optimal_params

RANK_DRAWS = 99
LIKELIHOOD = "log_likelihood"
CURVE, NEW_RUN, OPTIMUM = "loss_beyond", "new_run_beyond", "optimal_params_beyond"
BEYOND = 10.0  # times the largest compute of the design
# NUTS as `fit` runs it by default, its method "auto" (the fast approximation where it may be used), a `fleet`.
SAMPLERS = ("nuts", "auto", "fleet")


def prior_values(law: ScalingLaw, noise: Noise, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Independent prior draws of every free parameter, dims (draw,)."""
    specs = {**law.parameters, **noise.parameters}
    return {name: np.asarray(s.prior.dist.rvs(n, random_state=rng)) for name, s in specs.items()}


def simulated_frame(
    law: ScalingLaw,
    noise: Noise,
    values: Mapping[str, float],
    design: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Model columns of one simulated table, dims (run,); `design` has the law's inputs, counts."""
    log_c = np.log10(6 * design["params"] * design["tokens"])
    decades = log_c - log_c.mean()
    loss = law.loss({k: values[k] for k in law.parameters}, design)
    own = {k: np.asarray(values[k]) for k in noise.parameters}
    scatter = noise.scale(own, decades) * noise.draw(rng, own, np.shape(loss))
    return {
        **{k: np.asarray(design[k], float) for k in law.inputs},
        "log_loss": np.log(loss) + scatter,
        "log_loss_sd": np.zeros_like(loss),
        "decades": decades,
    }


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of one law under one noise model.

    Parameters
    ----------
    ranks
        By parameter, the log likelihood, and the quantities a decade beyond the design: integers from 0 to
        `RANK_DRAWS`, dims (replicate,).
    p_values
        Of a chi-square test of uniformity over twenty bins, by parameter.
    ok_fraction
        Replicates whose verdict is not "failed".
    """

    law: str
    noise: str
    ranks: Mapping[str, np.ndarray]
    p_values: Mapping[str, float]
    ok_fraction: float

    @property
    def smallest_p(self) -> float:
        """The smallest p-value after Bonferroni's correction over the parameters."""
        return min(1.0, min(self.p_values.values()) * len(self.p_values))

    def coverage(self, quantity: str, prob: float = 0.9) -> float:
        """Share of tables whose truth lay in the central interval of probability `prob` of its posterior."""
        return held(self.ranks[quantity], prob)


def held(ranks: np.ndarray, prob: float = 0.9) -> float:
    """Share of ranks in 0..RANK_DRAWS that lie in the central interval of probability `prob`."""
    edge = (1 - prob) / 2 * (RANK_DRAWS + 1)
    return float(np.mean((ranks >= edge) & (ranks < RANK_DRAWS + 1 - edge)))


def quantities_beyond(
    law: ScalingLaw,
    noise: Noise,
    values: Mapping[str, np.ndarray],
    design: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """What is asked of a posterior, one decade beyond the design, dims (draw,) each; `values` has dims (draw,).

    The query has ten times the largest compute, in the shape of the design's middle; the best size is for that compute,
    left out for laws without a closed form of it.
    """
    log_c = np.log(6 * design["params"] * design["tokens"])
    budget = BEYOND * np.exp(log_c.max())
    stretch = np.sqrt(budget / np.exp(log_c.mean()))
    query = {k: np.exp(np.log(np.asarray(design[k], float)).mean()) for k in law.inputs}
    query |= {"params": query["params"] * stretch, "tokens": query["tokens"] * stretch}
    curve = np.log(law.loss({k: values[k] for k in law.parameters}, query))
    own = {k: np.asarray(values[k]) for k in noise.parameters}
    scale = noise.scale(own, (np.log(budget) - log_c.mean()) / np.log(10))
    found = {CURVE: curve, NEW_RUN: curve + scale * noise.draw(rng, own, np.shape(curve))}
    if law.optimum is not None:
        found[OPTIMUM] = np.log(optimal_params(law, values, np.array([budget]))[:, 0])
    return found


def calibrate(
    law: str | ScalingLaw,
    design: Mapping[str, np.ndarray],
    *,
    noise: str | Noise = "student_t",
    replicates: int = 200,
    random_seed: int = 0,
    chunk: int = 25,
    sampler: str = "nuts",
) -> Calibration:
    """Simulation-based calibration of a law on a design (counts, dims (run,)).

    Parameters
    ----------
    sampler
        One of `SAMPLERS`: what makes the posterior draws.

    Raises
    ------
    UsageError
        For an unknown law, noise model or sampler.
    """
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS, "")
    spec, noise_spec = specify(law, noise)
    rng = np.random.default_rng([random_seed, 41])
    truth = prior_values(spec, noise_spec, replicates, rng)
    frames = [
        simulated_frame(spec, noise_spec, {k: v[i] for k, v in truth.items()}, design, rng) for i in range(replicates)
    ]
    beyond = quantities_beyond(spec, noise_spec, truth, design, np.random.default_rng([random_seed, 43]))
    ranks: dict[str, list[int]] = {name: [] for name in [*truth, LIKELIHOOD, *beyond]}
    verdicts: list[str] = []
    reporter().stage(f"{spec.title}: {replicates} simulated tables", total=replicates)
    for begin in range(0, replicates, chunk):
        part = range(begin, min(begin + chunk, replicates))
        seeds = [random_seed + 13 * i for i in part]
        made = _posteriors(sampler, spec, noise_spec, [frames[i] for i in part], seeds)
        for i, (verdict, drawn) in zip(part, made, strict=True):
            verdicts.append(verdict)
            count = next(iter(drawn.values())).size
            keep = np.linspace(0, count - 1, RANK_DRAWS).round().astype(int)
            kept = {name: v.reshape(-1)[keep] for name, v in drawn.items()}
            for name in truth:
                ranks[name].append(int((kept[name] < truth[name][i]).sum()))
            asked = quantities_beyond(spec, noise_spec, kept, design, np.random.default_rng([random_seed, 47, i]))
            for name, v in asked.items():
                ranks[name].append(int((v < beyond[name][i]).sum()))
            at_truth = _log_likelihood(spec, noise_spec, {k: v[i, None] for k, v in truth.items()}, frames[i])
            mine = _log_likelihood(spec, noise_spec, kept, frames[i])
            ranks[LIKELIHOOD].append(int((mine < at_truth).sum()))
    found = {name: np.array(v) for name, v in ranks.items()}
    return Calibration(
        law=spec.name,
        noise=noise_spec.name,
        ranks=found,
        p_values={name: uniformity(v) for name, v in found.items()},
        ok_fraction=float(np.mean([v != "failed" for v in verdicts])),
    )


def _posteriors(
    sampler: str, law: ScalingLaw, noise: Noise, frames: Sequence[Mapping[str, np.ndarray]], seeds: Sequence[int]
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Of each table, the verdict and the draws of each parameter, dims (chain, draw)."""
    if sampler == "fleet":
        names = tuple(str(i) for i in range(len(frames)))
        scale = law.scale.params, law.scale.tokens
        settings = Settings(draws=250)
        task = Chunk(law, noise, scale, {}, names, tuple(seeds), tuple(frames), settings, ci_prob=0.9, threads=cores())
        found = fit_chunk(task)
        for verdict, values in zip(found["verdict"], found["values"], strict=True):
            yield str(verdict), {str(name): values[..., k] for k, name in enumerate(found["parameters"])}
        return
    tables = [Table.padded(frame, padded_length(len(frame["log_loss"]))) for frame in frames]
    how = Settings(draws=250, method=sampler)
    for drawn in sample_tables(program_for(law, noise, frames[0]), tables, how, seeds, patient=False):
        yield drawn.diagnostics.verdict, {name: v for name, v in drawn.values.items() if v.ndim == 2}


def _log_likelihood(
    law: ScalingLaw, noise: Noise, values: Mapping[str, np.ndarray], frame: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Of all runs together, dims (draw,), like each of `values`."""
    each = {k: np.asarray(v)[:, None] for k, v in values.items()}
    own = {k: each[k] for k in noise.parameters}
    scale = noise.scale(own, frame["decades"])
    loss = law.loss({k: each[k] for k in law.parameters}, {k: frame[k] for k in law.inputs})
    terms = noise.logpdf((frame["log_loss"] - np.log(loss)) / scale, own) - np.log(scale)
    return np.asarray(np.sum(np.broadcast_to(terms, loss.shape), axis=-1))


def uniformity(ranks: np.ndarray, bins: int = 20) -> float:
    """p-value of a chi-square test that ranks in 0..RANK_DRAWS are uniform."""
    counts = np.bincount(ranks * bins // (RANK_DRAWS + 1), minlength=bins)
    return float(stats.chisquare(counts).pvalue)
