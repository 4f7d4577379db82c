"""Clean simulated tables of language-model runs, as people write them: what must bring no notice."""

from __future__ import annotations

import numpy as np
import pandas as pd


def clean_table(seed: int) -> pd.DataFrame:
    """A factorial, isoFLOP profiles or a ladder of runs, of a Chinchilla-like law with 0.2 to 1 % of noise; with a
    label, a column of text that means nothing, a learning rate set by size, and sometimes seeds as replicates."""
    rng = np.random.default_rng(seed)
    kind = seed % 3
    if kind == 0:
        n = 10 ** np.linspace(7.5, rng.uniform(8.7, 9.7), rng.integers(4, 8))
        d = 10 ** np.linspace(9, rng.uniform(10, 11), rng.integers(3, 7))
        n, d = (v.ravel() for v in np.meshgrid(n, d, indexing="ij"))
    elif kind == 1:
        c = np.repeat(10 ** np.linspace(18, rng.uniform(19.5, 21.5), rng.integers(3, 6)), 7)
        n = np.sqrt(c / 120) * np.tile(10 ** np.linspace(-0.5, 0.5, 7), len(c) // 7)
        d = c / (6 * n)
    else:
        n = 10 ** rng.uniform(7.5, 10, rng.integers(12, 40))
        d = n * 10 ** rng.uniform(1, 2.2, n.size)
    if seed % 5 == 0:
        n, d = np.repeat(n, 2), np.repeat(d, 2)
    n, d = np.round(n), np.round(d)
    alpha, beta = rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.4)
    loss = (
        rng.uniform(1.4, 2.1)
        + rng.uniform(0.3, 0.6) * (n / 1e9) ** -alpha
        + rng.uniform(0.3, 0.6) * (d / 2e10) ** -beta
    )
    loss *= np.exp(rng.uniform(0.002, 0.01) * rng.standard_normal(n.size))
    table = pd.DataFrame({"run": [f"run-{i}" for i in range(n.size)], "params": n, "tokens": d, "loss": loss.round(4)})
    table["cluster"] = rng.choice(["east", "west", "north"], n.size)
    table["size"] = [f"{v / 1e6:.0f}M" for v in n]
    table["lr"] = (3e-3 * (n / 1e8) ** -0.3).round(6)
    table["batch"] = rng.choice([256, 512, 1024], n.size)
    table["seed"] = rng.integers(0, 5, n.size)
    if seed % 4 == 0:
        table["flops"] = 6 * n * d * rng.uniform(0.95, 1.05, n.size)
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)
