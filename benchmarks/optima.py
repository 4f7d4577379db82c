"""Do intervals of the best model size hold? Frontiers of smaller runs against optima measured at larger budgets.

    python benchmarks/optima.py --data FOLDER [--quick] [--json]

Public isoFLOP tables (FOLDER, or BAYES_SCALING_LOCAL_DATA, holds them) are cut along their budgets. The smaller ones
are averaged as `frontier` does by default, and the laws pooled the other way beside it (`other`). At each larger budget
the best size is measured without any law: the minimum of a cubic (a parabola, of few runs) in log N through the runs
within a factor of six of the best, its error from the residuals; a budget counts where that minimum lies inside and its
error is below a fifth of a decade. So do the budgets learned from, apart. An interval, widened by the measurement's
error, holds the measured size or not; budgets of one cut err together, and cuts of one table too, so that a standard
error is clustered by table.

`laws_alone` leaves out the discrepancy of best sizes (`bayes_scaling.prediction.misplacement`). `likeliest` are the
scales of that discrepancy under which the measured sizes are most probable, over all tables and with each left out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from calibration import clustered
from sampling import machine
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import invgamma
from splits import _best

from bayes_scaling import average, load_runs
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.prediction.best_sizes import best_sizes
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import Ensemble
from bayes_scaling.prediction.misplacement import DEGREES, OFFSET, SLOPE, Misplacement
from bayes_scaling.prediction.weights import POOLING

NEAR, LARGEST_ERROR = np.log(6), 0.2
QUANTILES = np.linspace(0.05, 0.95, 19)
OTHER = "mixture" if POOLING == "blend" else "blend"


@dataclass(frozen=True)
class Cut:
    """One table learned from up to a budget; sizes in log10, dims (budget,)."""

    name: str
    table: str
    beyond: np.ndarray  # decades
    measured: np.ndarray
    error: np.ndarray
    draws: np.ndarray  # dims (draw, budget), of the laws alone
    other: np.ndarray  # the same, the laws pooled the other way

    def of(self, mine: np.ndarray) -> Cut:
        """Some of the budgets; `mine` has dims (budget,)."""
        some = {k: getattr(self, k)[mine] for k in ("beyond", "measured", "error")}
        return replace(self, draws=self.draws[:, mine], other=self.other[:, mine], **some)

    @property
    def turned(self) -> Cut:
        return replace(self, draws=self.other, other=self.draws)


def tables(folder: Path) -> Iterator[tuple[str, str, pd.DataFrame, float]]:
    """Name, cluster, runs with their `budget`, and the largest budget to learn from."""
    frame = pd.read_csv(folder / "chinchilla_epoch.csv").query("epoch_excluded == 0")
    for top in (3e19, 1e20):
        yield f"chinchilla to {top:.2g}", "chinchilla", frame.assign(budget=frame["isoflop_budget"]), top
    frame = pd.read_csv(folder / "porian_isoflop.csv")
    for config in frame["config"].unique():
        if config.endswith("standard|val"):
            part = frame[(frame["config"] == config) & (frame["flops"] >= 1e17)]
            for top in (4e17, 1.6e18):
                yield f"{config} to {top:.2g}", config.split("|")[0], part.assign(budget=part["flops"]), top
    frame = pd.read_csv(folder / "xlstm_isoflop.csv").query("loss < 6")
    for name, part in frame.groupby("dataset", sort=True):
        part = _best(part, ["params", "tokens"]).sort_values("flops")
        step = np.diff(np.log10(part["flops"]), prepend=np.log10(part["flops"].min())) > 0.12
        part = part.assign(budget=part.groupby(step.cumsum())["flops"].transform(lambda c: np.exp(np.log(c).mean())))
        budgets = np.sort(part["budget"].unique())
        if len(budgets) >= 3:
            yield str(name), "xlstm", part, float(budgets[-2])


def measured_size(part: pd.DataFrame) -> tuple[float, float] | None:
    """log10 of the best size of one budget, and its standard error; None where the runs do not bracket it."""
    log_n, log_l = np.log(part["params"].to_numpy(float)), np.log(part["loss"].to_numpy(float))
    centre = log_n[log_l.argmin()]
    near = np.abs(log_n - centre) < NEAR
    x, y = log_n[near] - centre, log_l[near]
    if len(x) < 5:
        return None
    terms = np.vander(x, 4 if len(x) >= 7 else 3)
    found, *_ = np.linalg.lstsq(terms, y, rcond=None)
    rest = y - terms @ found
    cov = np.linalg.inv(terms.T @ terms) * (rest @ rest) / max(1, len(y) - terms.shape[1])
    grid = np.linspace(x.min(), x.max(), 2001)
    basis = np.vander(grid, terms.shape[1])
    best = int((basis @ found).argmin())
    if best in (0, len(grid) - 1):
        return None
    others = np.random.default_rng(0).multivariate_normal(found, cov, 300)
    error = float(grid[(others @ basis.T).argmin(axis=1)].std()) / np.log(10)
    return ((centre + grid[best]) / np.log(10), error) if error < LARGEST_ERROR else None


def cuts(folder: Path, quick: bool) -> Iterator[tuple[Cut, Cut]]:
    """Of each table and cut, the budgets beyond and the budgets learned from."""
    for name, table, frame, top in list(tables(folder))[: 2 if quick else None]:
        train = frame[frame["budget"] <= 1.01 * top]
        train = train[train["loss"] <= 1.05 * train.groupby("budget")["loss"].transform("min")]
        runs = load_runs(train[["run", "params", "tokens", "flops", "loss"]].reset_index(drop=True), name=name)
        known = {float(b): measured_size(part) for b, part in frame.groupby("budget")}
        budgets = np.array([b for b, size in known.items() if size is not None])
        sizes = np.array([size for size in known.values() if size is not None])
        group = average(runs)
        draws, other = (alone(group, budgets, pooling) for pooling in (POOLING, OTHER))
        beyond = np.maximum(0.0, np.log10(budgets / runs.counted.max()))
        whole = Cut(name, table, beyond, *sizes.T, draws, other)
        above = budgets > 1.01 * top
        yield whole.of(above), whole.of(~above)


def alone(group: Ensemble, budgets: np.ndarray, pooling: str) -> np.ndarray:
    """log10 of the best sizes under the laws alone, dims (draw, budget)."""
    found = best_sizes(predictive(group, pooling=pooling, misplacement=None), budgets).log_params / np.log(10)
    return np.asarray(found[np.isfinite(found).all(axis=1)])


def judged(cut: Cut, size: Misplacement | None) -> dict[str, float]:
    """Coverage at 90 and 50 %, half-width and pinball, means over a cut's budgets."""
    rng = np.random.default_rng(1)
    x = cut.draws[rng.integers(0, len(cut.draws), 8000)]
    if size is not None:
        x = x + size.draws(len(x), 1) @ np.stack([np.ones_like(cut.beyond), cut.beyond])
    seen = x + cut.error * rng.standard_normal(x.shape)

    def held(prob: float) -> float:
        low, high = np.quantile(seen, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        return float(((cut.measured >= low) & (cut.measured <= high)).mean())

    gap = cut.measured - np.quantile(seen, QUANTILES, axis=0)
    ends = [interval_value(v, 0.9) for v in x.T]
    return {
        "coverage_90": held(0.9),
        "coverage_50": held(0.5),
        "half_width": float(np.mean([e["upper"] - e["lower"] for e in ends])) / 2,
        "pinball": float(np.maximum(QUANTILES[:, None] * gap, (QUANTILES[:, None] - 1) * gap).mean()),
    }


def summary(found: list[Cut], size: Misplacement | None) -> dict[str, float]:
    rows = pd.DataFrame([judged(c, size) for c in found])
    names = [c.table for c in found]
    errors = {f"{k}_se": clustered(rows[k].tolist(), names)[1] for k in ("coverage_90", "coverage_50")}
    return {**rows.mean().to_dict(), **errors}


def likeliest(found: list[Cut]) -> tuple[float, float]:
    """Offset and slope scales of greatest likelihood, the laws' own spread and the measurements' errors included."""
    # A Student-t as a mixture of normals, whose variances stand at quantiles of an inverse gamma.
    spread = invgamma.ppf((np.arange(40) + 0.5) / 40, DEGREES / 2, scale=DEGREES / 2)

    def minus(log_scales: np.ndarray) -> float:
        offset, slope = np.exp(2 * log_scales)
        total = 0.0
        for c in found:
            gap = c.measured - c.draws.mean(axis=0)
            own = np.atleast_2d(np.cov(c.draws.T)) + np.diag(c.error**2 + 1e-8)
            more = offset + slope * np.outer(c.beyond, c.beyond)
            each = []
            for variance in spread:
                cov = own + variance * more
                each.append(-0.5 * np.linalg.slogdet(cov)[1] - 0.5 * gap @ np.linalg.solve(cov, gap))
            total -= float(logsumexp(each))
        return total

    best = minimize(minus, np.log([0.04, 0.07]), method="Nelder-Mead")
    offset, slope = np.exp(best.x)
    return float(offset), float(slope)


def other_way(beyond: list[Cut], within: list[Cut]) -> dict[str, Any]:
    """The same of the laws pooled the other way, with the scales that are then the likeliest."""
    turned = [c.turned for c in beyond]
    scales = likeliest(turned)
    return {
        "other": OTHER,
        "other_likeliest": scales,
        "other_beyond": summary(turned, Misplacement(*scales)),
        "other_beyond_laws_alone": summary(turned, None),
        "other_within": summary([c.turned for c in within], Misplacement(*scales)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYES_SCALING_LOCAL_DATA"))
    parser.add_argument("--quick", action="store_true", help="two cuts of one table, to see that it works")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    if not words.data:
        raise SystemExit("The tables are not part of the repository: --data FOLDER says where they are.")
    begin = perf_counter()
    pairs = list(cuts(Path(words.data), words.quick))
    beyond, within = [p[0] for p in pairs], [p[1] for p in pairs]
    size = Misplacement()
    groups = sorted({c.table for c in beyond})
    left_out = {g: likeliest([c for c in beyond if c.table != g]) for g in groups} if len(groups) > 1 else {}
    honest = [judged(c, Misplacement(*left_out[c.table]) if left_out else size) for c in beyond]
    result = {
        "scales": {"offset": OFFSET, "slope": SLOPE, "degrees": DEGREES},
        "beyond": summary(beyond, size),
        "beyond_laws_alone": summary(beyond, None),
        "within": summary(within, size),
        "within_laws_alone": summary(within, None),
        "likeliest": likeliest(beyond),
        **other_way(beyond, within),
        "likeliest_left_out": left_out,
        "left_out_coverage_90": float(np.mean([h["coverage_90"] for h in honest])),
        "left_out_pinball": float(np.mean([h["pinball"] for h in honest])),
        "cuts": [
            {"name": c.name, "table": c.table, "decades": c.beyond.tolist(), "measured": c.measured.tolist()}
            | {"error": c.error.tolist(), "median": np.median(c.draws, axis=0).tolist(), **judged(c, size)}
            for c in beyond
        ],
        "seconds": perf_counter() - begin,
        "machine": machine(),
    }
    if words.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{len(beyond)} cuts of {len(groups)} tables; half-widths in decades of size")
    print(f"laws pooled by {POOLING}; 'other' is by {OTHER}, under its likeliest scales {result['other_likeliest']}")
    keys = ("beyond_laws_alone", "beyond", "within_laws_alone", "within")
    for key in (*keys, "other_beyond_laws_alone", "other_beyond", "other_within"):
        r = result[key]
        print(
            f"{key:24s} 90 %: {r['coverage_90']:.3f} ± {r['coverage_90_se']:.3f}   50 %: {r['coverage_50']:.3f} ± "
            f"{r['coverage_50_se']:.3f}   half-width {r['half_width']:.3f}   pinball {r['pinball']:.4f}"
        )
    print(f"likeliest scales {result['likeliest']}, with a table left out {left_out}")
    print(
        f"scales of the other tables: 90 % covers {result['left_out_coverage_90']:.3f}, pinball "
        f"{result['left_out_pinball']:.4f}; {result['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
