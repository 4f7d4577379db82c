"""The verdict on a fit: R-hat, ESS, divergences, E-BFMI and whether the mode searches agreed, with plain advice.

Thresholds follow Vehtari et al. (2021), arXiv:1903.08008, and Betancourt (2016), arXiv:1604.00695.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bayes_scaling.engine.modes import Modes
from bayes_scaling.inference.convergence import bfmi, ess_bulk, ess_tail, rhat

RHAT_OK, RHAT_FAILED = 1.01, 1.05
ESS_OK, ESS_FAILED = 400, 100
EBFMI_OK = 0.3
DIVERGENT_FAILED = 0.01
# A rival mode with less of the Laplace mass than this is not looked for in the draws.
RIVAL_SHARE = 0.02


@dataclass(frozen=True)
class Diagnostics:
    """The verdict and what it rests on; `messages` say what is wrong and what to do.

    Parameters
    ----------
    verdict
        "ok", "warning" or "failed". Nothing downstream treats a failed fit as good.
    rhat_max, ess_bulk_min, ess_tail_min
        The worst over all reported quantities.
    divergences, ebfmi_min
        Divergent transitions after warm-up; the lowest energy fraction of the chains.
    gradients
        Density gradients spent, warm-up included.
    method
        What made the draws: "nuts", or "laplace", which has no divergences and no energy.
    pareto_k, importance_ess
        How well the approximation fitted, and how many independent draws its weights are worth; also where it was
        tried and NUTS took over. None where it was not tried.
    """

    verdict: str
    rhat_max: float
    ess_bulk_min: float
    ess_tail_min: float
    divergences: int
    ebfmi_min: float
    messages: tuple[str, ...]
    gradients: int = 0
    method: str = "nuts"
    pareto_k: float | None = None
    importance_ess: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """`diagnostics` of the JSON of `fit`."""
        return asdict(self) | {"messages": list(self.messages)}

    def __str__(self) -> str:
        numbers = f"R-hat {self.rhat_max:.3f}, ESS bulk {self.ess_bulk_min:.0f} tail {self.ess_tail_min:.0f}, "
        if self.method == "laplace":
            numbers += f"Laplace approximation with importance weights, Pareto k {self.pareto_k:.2f}"
        else:
            numbers += f"{self.divergences} divergences, E-BFMI {self.ebfmi_min:.2f}"
            if self.pareto_k is not None:
                numbers += f", NUTS because the approximation's Pareto k was {self.pareto_k:.2f}"
        return "\n".join([f"{self.verdict}: {numbers}", *(f"  - {m}" for m in self.messages)])


def ess_and_rhat(values: np.ndarray) -> tuple[float, float, float]:
    """Bulk ESS, tail ESS and R-hat of draws with dims (chain, draw)."""
    if not np.all(np.isfinite(values)):
        return 0.0, 0.0, float("inf")
    return float(ess_bulk(values)), float(ess_tail(values)), float(rhat(values))


def diagnose(
    quantities: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    where: Modes | None,
    x: np.ndarray,
    *,
    n: int,
    unknowns: int,
    measures: np.ndarray | None = None,
) -> Diagnostics:
    """Judge a set of chains.

    Parameters
    ----------
    quantities
        Draws of whatever is reported, each with dims (chain, draw).
    stats
        `diverging`, `energy` with dims (chain, draw), `gradients` with dims (chain,).
    where
        The modes found, or None where no search converged.
    x
        Unconstrained draws, dims (chain, draw, unknown).
    n, unknowns
        Number of runs and of free parameters.
    measures
        Bulk ESS, tail ESS and R-hat of the quantities where those are known already, dims (quantity, 3).
    """
    table = [ess_and_rhat(v) for v in quantities.values()] if measures is None else measures.tolist()
    bulk, tail = min(t[0] for t in table), min(t[1] for t in table)
    rhats = [t[2] for t in table if not np.isnan(t[2])]
    highest = max(rhats) if rhats else float("nan")
    chains, draws = stats["diverging"].shape
    divergences = int(stats["diverging"].sum())
    energy = stats["energy"]
    moving = bool(np.all(np.isfinite(energy)) and np.all(energy.std(axis=1) > 0))
    ebfmi = float(np.min(bfmi(energy))) if moving else 0.0

    failed: list[str] = []
    warned: list[str] = []
    if highest > RHAT_OK:
        (failed if highest > RHAT_FAILED else warned).append(
            f"The chains disagree (R-hat {highest:.3f}, should be at most {RHAT_OK}). Draw more (--draws 4000), or "
            "state tighter priors for what the runs cannot tell apart."
        )
    # Few draws were asked for: then many of them being effective is what can be asked in turn.
    need, fail = (min(level, 0.1 * chains * draws) for level in (ESS_OK, ESS_FAILED))
    if min(bulk, tail) < need:
        (failed if min(bulk, tail) < fail else warned).append(
            f"Few effective draws (bulk {bulk:.0f}, tail {tail:.0f}, should be at least {need:.0f}): "
            "interval ends are uncertain. Draw more (--draws 4000)."
        )
    if divergences:
        share = divergences / (chains * draws)
        plural = "" if divergences == 1 else "s"
        (failed if share > DIVERGENT_FAILED else warned).append(
            f"{divergences} divergent transition{plural} ({share:.2%}): part of the posterior may be missing. "
            "Tighter priors, or another noise model, usually mend it."
        )
    if ebfmi < EBFMI_OK:
        warned.append(f"Low energy fraction (E-BFMI {ebfmi:.2f}): heavy tails are explored slowly. Draw more.")
    if where is None:
        warned.append("No mode search converged: the posterior has no clear peak. Add runs or tighten the priors.")
    elif len(where.rivals) > 1 and not _modes_shared(where, x):
        shares = ", ".join(f"{w:.0%}" for w in where.rivals)
        warned.append(
            f"The posterior has {len(where.rivals)} separate modes (approximate shares {shares}) that the chains do "
            "not move between, so their shares in the draws are off. Let a prior, or more runs, decide between them."
        )
    if n < unknowns:
        warned.append(f"{n} runs for {unknowns} unknowns: the priors decide what the runs cannot. Add runs.")
    verdict = "failed" if failed else "warning" if warned else "ok"
    gradients = int(np.sum(stats["gradients"]))
    return Diagnostics(verdict, highest, bulk, tail, divergences, ebfmi, tuple(failed + warned), gradients)


def _modes_shared(where: Modes, x: np.ndarray) -> bool:
    """Whether every chain has been near every mode that holds a noticeable share of the mass."""
    for k, share in enumerate(where.rivals):
        if share < RIVAL_SHARE:
            continue
        gap = x - where.points[k]
        distance = np.einsum("cdi,ij,cdj->cd", gap, where.hessians[k], gap)
        if not np.all((distance < 2 * x.shape[-1]).any(axis=1)):
            return False
    return True
