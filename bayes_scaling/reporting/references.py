"""What others published, once and in one place: exponents drawn as lines, and the sources a report cites."""

from __future__ import annotations

from typing import Any

EXPONENTS: tuple[dict[str, Any], ...] = (
    {
        "value": 0.46,
        "label": "0.46 Hoffmann",
        "name": "0.46 (Hoffmann et al., parametric fit)",
        "side": "left",
    },
    {"value": 0.50, "label": "0.50 equal growth", "name": "0.50 (N and D grow equally)", "side": "right"},
    {"value": 0.73, "label": "0.73 Kaplan", "name": "0.73 (Kaplan et al.)", "side": "left"},
)
"""Published exponents a of N* proportional to C^a. Hoffmann et al. found 0.50 and 0.49 by their other
approaches."""

NOTABLE = (
    "Chinchilla",
    "GPT-3 175B",
    "Llama 3.1 405B",
    "Gopher",
    "Llama 3 8B",
    "Llama 3 70B",
    "LLaMA 7B",
    "OLMo 2 13B",
    "MT-NLG 530B",
    "GPT-3 13B",
    "GPT-3 1.3B",
    "GPT-3 125M",
)
"""Known models that are named in the frontier figure where there is room, the most wanted first."""

SOURCES: dict[str, str] = {
    "kaplan": "Kaplan et al. (2020). Scaling laws for neural language models. arXiv:2001.08361.",
    "hoffmann": "Hoffmann et al. (2022). Training compute-optimal large language models. arXiv:2203.15556.",
    "besiroglu": "Besiroglu et al. (2024). Chinchilla scaling: a replication attempt. arXiv:2404.10102.",
    "meng": "Meng and Wong (1996). Simulating ratios of normalizing constants. Statistica Sinica 6, 831-860.",
    "kass": "Kass and Raftery (1995). Bayes factors. Journal of the American Statistical Association 90, 773-795.",
    "dickey": "Dickey (1971). The weighted likelihood ratio, linear hypotheses on normal location parameters. Annals "
    "of Mathematical Statistics 42, 204-223.",
    "psis": "Vehtari et al. (2024). Pareto smoothed importance sampling. arXiv:1507.02646.",
    "cappe": "Cappé et al. (2004). Population Monte Carlo. Journal of Computational and Graphical Statistics 13, "
    "907-929.",
    "vehtari_loo": "Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using "
    "leave-one-out "
    "cross-validation and WAIC. arXiv:1507.04544.",
    "yao": "Yao et al. (2018). Using stacking to average Bayesian predictive distributions. arXiv:1704.02030.",
    "vehtari_rhat": "Vehtari et al. (2021). Rank-normalization, folding, and localization: an improved "
    "R-hat. "
    "arXiv:1903.08008.",
    "dawid": "Dawid (1984). Statistical theory: the prequential approach. Journal of the Royal Statistical "
    "Society A 147, 278-292.",
    "gneiting": "Gneiting and Raftery (2007). Strictly proper scoring rules, prediction, and estimation. "
    "Journal of the American Statistical Association 102, 359-378.",
    "betancourt": "Betancourt (2016). Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte "
    "Carlo. "
    "arXiv:1604.00695.",
}
