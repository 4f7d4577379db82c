"""The development splits: smaller runs of public tables to learn from, larger ones to be forecast.

The tables are read from a folder of local data (`--data`, or BAYES_SCALING_LOCAL_DATA); several carry no licence and
are not part of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayes_scaling import Runs, load_runs


@dataclass(frozen=True)
class Split:
    """One split: `table` names the cluster it counts under, since splits of one table err together."""

    name: str
    table: str
    train: Runs
    test: Runs


def _split(name: str, table: str, frame: pd.DataFrame, train: pd.Series, test: pd.Series) -> Split:
    keep = [c for c in ("run", "params", "tokens", "flops", "loss") if c in frame]
    parts = [load_runs(frame.loc[mask, keep].reset_index(drop=True), name=name) for mask in (train, test)]
    return Split(name, table, *parts)


def _best(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    return frame.loc[frame.groupby(by)["loss"].idxmin()].reset_index(drop=True)


def _by_compute(name: str, table: str, frame: pd.DataFrame, below: float, above: float, **how: bool) -> Split:
    c = frame["flops"]
    train = c <= below if how.get("include") else c < below
    test = c >= above if how.get("from_above") else c > above
    return _split(name, table, frame, train, test)


def splits(folder: Path) -> Iterator[Split]:
    """All development splits, in the order of the issue that defined them."""
    read = lambda name: pd.read_csv(folder / f"{name}.csv")  # noqa: E731

    frame = read("chinchilla_epoch").query("epoch_excluded == 0")
    yield _by_compute("chinchilla_epoch", "chinchilla_epoch", frame, 1.1e20, 5e20, include=True)

    frame = read("openeurollm_best")
    frame = frame[frame["flag"].isna()]
    yield _by_compute("openeurollm_best", "openeurollm_best", frame, 2e20, 5e20)

    frame = read("gadre_overtraining")
    frame["params"] = frame["params_nonemb"].astype(float)
    frame["flops"] = 6 * frame["params"] * frame["tokens"].astype(float)
    for corpus, part in frame.groupby("train_data", sort=True):
        train = (part["params"] < 5e8) & (part["chinchilla_mult"] >= 1)
        yield _split(f"gadre:{corpus}", "gadre_overtraining", part, train, part["params"] > 1e9)

    frame = read("porian_isoflop")
    for config in (
        "rw|tuned|short|const|standard|val",
        "owt2|tuned|short|const|standard|val",
        "rw|base|short|chinchilla|standard|val",
        "owt2|base|short|chinchilla|standard|val",
    ):
        part = frame[(frame["config"] == config) & (frame["flops"] >= 1e17)]
        best = part.groupby("flops")["loss"].transform("min")
        part = part[part["loss"] <= 1.05 * best]
        yield _by_compute(f"porian:{config}", "porian_isoflop", part, 1.7e18, 6e18, include=True)

    frame = read("xlstm_isoflop").query("loss < 6")
    for dataset, part in frame.groupby("dataset", sort=True):
        part = _best(part, ["params", "tokens"])
        top = part["flops"].max()
        if (part["flops"] < top / 5).sum() < 5:
            continue  # a single budget: nothing smaller to learn from
        yield _by_compute(f"xlstm:{dataset}", "xlstm_isoflop", part, top / 5, top / 2.2, from_above=True)

    frame = _best(read("misfitting_final").query("loss < 4.5"), ["params", "tokens"])
    top = frame["flops"].max()
    yield _by_compute("misfitting_final", "misfitting_final", frame, top / 15, top / 4, from_above=True)

    frame = read("muennighoff_all296").query("epochs <= 1 and loss < 5")
    yield _by_compute("muennighoff_all296", "muennighoff_all296", frame, 2e20, 1e21)


def own_splits(folder: Path) -> Iterator[Split]:
    """Further splits that no setting was chosen on."""
    yield _by_compute("pile", "pile", load_runs("pile").to_frame(), 2.5e21, 6e21, from_above=True)

    frame = pd.read_csv(folder / "chinchilla_epoch.csv").query("epoch_excluded == 0")
    yield _by_compute("chinchilla_epoch:early", "chinchilla_epoch", frame, 2.2e19, 1e20)

    frame = pd.read_csv(folder / "openeurollm_best.csv")
    yield _by_compute("openeurollm_best:early", "openeurollm_best", frame[frame["flag"].isna()], 5e19, 1.5e20)

    frame = pd.read_csv(folder / "gemstones_curves.csv")
    tokens = sorted(frame["tokens"].unique())
    kept = [min(tokens, key=lambda t, aim=aim: abs(t - aim)) for aim in (1e10, 2e10, 4e10, 8e10, 1.6e11, 3.2e11)]
    frame = _best(frame[frame["tokens"].isin(kept)], ["params", "tokens"])
    yield _by_compute("gemstones", "gemstones_curves", frame, 1e20, 4e20)

    frame = pd.read_csv(folder / "gadre_overtraining.csv")
    frame["params"] = frame["params_nonemb"].astype(float)
    frame["flops"] = 6 * frame["params"] * frame["tokens"].astype(float)
    for measure in ("loss_paloma_redpajama", "loss_paloma_dolma_100_programing_languages"):
        part = frame[frame["train_data"] == "rpj"].assign(loss=lambda f, m=measure: f[m])
        train = (part["params"] < 5e8) & (part["chinchilla_mult"] >= 1)
        yield _split(f"gadre:rpj:{measure[5:]}", "gadre_overtraining", part, train, part["params"] > 1e9)

    frame = pd.read_csv(folder / "porian_isoflop.csv")
    for config in ("rw|base|long|kaplan|standard|val", "owt2|base|long|kaplan|standard|val"):
        part = frame[(frame["config"] == config) & (frame["flops"] >= 1e17)]
        if len(part):
            best = part.groupby("flops")["loss"].transform("min")
            part = part[part["loss"] <= 1.05 * best]
            yield _by_compute(f"porian:{config}", "porian_isoflop", part, 1.7e18, 6e18, include=True)

    frame = _best(pd.read_csv(folder / "misfitting_final.csv").query("loss < 4.5"), ["params", "tokens"])
    top = frame["flops"].max()
    yield _by_compute("misfitting_final:early", "misfitting_final", frame, top / 40, top / 8, from_above=True)

    frame = pd.read_csv(folder / "muennighoff_fit182.csv").query("epochs <= 4 and loss < 4.5")
    yield _by_compute("muennighoff_fit182:4 epochs", "muennighoff_fit182", frame, 2e20, 1e21)
