"""Every word a report prints, in words of ours."""

from __future__ import annotations

TERMS: tuple[tuple[str, str], ...] = (
    (
        "loss",
        "Cross-entropy on held-out text, in nats per token. Lower is better. Losses are comparable only "
        "between "
        "runs with the same test text and tokenizer.",
    ),
    ("nat", "The unit of information with natural logarithms; one nat is 1.44 bits."),
    (
        "N, D, C",
        "Parameters, training tokens, and training compute in floating-point operations (FLOP). Compute is "
        "counted as C = 6 N D unless stated otherwise.",
    ),
    (
        "scaling law",
        "A formula for the loss as a function of N and D. Each law here is a hypothesis with priors, and "
        "none is taken for granted.",
    ),
    ("E, irreducible loss", "The loss that remains however large the model and the data; nats per token."),
    (
        "alpha, beta",
        "How fast the loss falls with N and with D. They mean the same within a law, not always between laws.",
    ),
    ("prior", "What was held plausible before seeing the runs. Printed beside each parameter."),
    ("posterior", "What is plausible after seeing the runs: a sample of parameter values, called draws."),
    (
        "interval",
        "Equal-tailed: a 90 % interval leaves 5 % of the probability below it and 5 % above. Its "
        "probability rests on the laws and priors stated, and on nothing changing beyond the runs.",
    ),
    ("new run", "The loss that one further training run would show, its own scatter included."),
    ("curve", "The law's expected loss, without the scatter of a single run; narrower than a new run."),
    (
        "decades beyond the runs",
        "How many powers of ten a question lies outside the range the laws were learned from. "
        "One decade is a factor of ten. The further, the more rests on the law being right.",
    ),
    (
        "back-test",
        "A rehearsal of the forecast on runs already made: laws are fitted to the smaller runs, the larger ones "
        "are forecast, and the forecasts are held against what came.",
    ),
    (
        "cut",
        "An amount of compute at which the runs are divided for the back-test: those up to it are learned "
        "from, those at least 0.3 decades beyond it (0.15 in a narrow table) are forecast.",
    ),
    (
        "cell",
        "The forecasts of one cut within 0.3 decades of distance. They err together, so a cell counts once in "
        "every score, however many runs are in it.",
    ),
    (
        "discrepancy",
        "What all laws together may be wrong by: a line in the decades of compute beyond the runs (and of N or "
        "D where one leaves its range by more), drawn anew for each draw of a forecast. Its size is learned from "
        "the back-test and from other public tables. It is the same for two plans of equal compute.",
    ),
    (
        "blend",
        "How laws are averaged: each draw of a forecast mixes the laws' curves in random proportions about "
        "their weights, because the truth tends to lie between laws rather than at one.",
    ),
    (
        "coverage, held",
        "The share of larger runs whose loss ended inside their interval. For 90 % intervals that are honest "
        "it is about 90 %.",
    ),
    (
        "pinball",
        "A score of quantiles, here of the 5, 25, 50, 75 and 95 % ones, in per cent of the loss: small for "
        "forecasts that are near and say how sure they are. Lower is better.",
    ),
    (
        "half-width, bias",
        "Of the back-test: half the width of the 90 % interval; median forecast minus what came, positive "
        "where forecasts were too high. Both in per cent of the loss.",
    ),
    (
        "forward score",
        "How well a law fitted to smaller runs, with a discrepancy of half a per cent per decade, foretold the larger "
        "ones: for each cut and distance the log density of the runs' common shift, in full, and of their scatter "
        "about it, as one run's; averaged, in nats, higher is better. It is what weighs the laws in forecasts.",
    ),
    ("compute-optimal frontier", "For each budget of compute, the N and D that give the lowest loss."),
    (
        "exponent a",
        "How the best N grows with compute, N proportional to C to the power a. At a = 0.5 parameters and "
        "tokens grow equally.",
    ),
    (
        "within 0.5 % of the best",
        "The range of N whose loss is at most 0.5 % above the lowest at that budget. A wide "
        "range says that the exact allocation hardly matters.",
    ),
    (
        "expected loss, worst tenth",
        "Of the draws of a plan's loss, curve plus discrepancy: their mean, and the mean of the highest tenth of them "
        "(conditional value at risk, CVaR).",
    ),
    (
        "regret",
        "What a plan loses, on average over draws, against the plan that each draw would choose for itself: the price "
        "of not knowing the truth. Its least kind form is the largest over laws of the loss above that law's best.",
    ),
    (
        "P(target), safe",
        "The probability that the run which will be seen, its own scatter included, ends at or below the target. A "
        "budget is 90 % safe when its plan has that probability.",
    ),
    (
        "variance removed",
        "By how much a run is expected to lower the variance of the logarithm of the best model size, as a share of "
        "what it is now: averaged over what the run may show, each weighed by how likely the posterior makes it.",
    ),
    (
        "information",
        "What a run is expected to teach about all parameters of all laws together, in nats: the expected fall of the "
        "entropy of the posterior.",
    ),
    (
        "value of knowing more",
        "The loss expected of the best plan as things stand, less that expected of the plan chosen once more is known; "
        "also as the compute that would lower the loss as much.",
    ),
    (
        "log evidence",
        "The logarithm of the probability of these runs under a law and its priors, in nats. Only "
        "differences between laws mean anything. It rewards fit and charges for flexibility that was not "
        "needed.",
    ),
    (
        "Bayes factor",
        "The ratio of two evidences; its logarithm is a difference of log evidences. 1, 3 and 5 nats are "
        "odds of about 3, 20 and 150 to one, and are called positive, strong and very strong; less than 1 "
        "is not worth "
        "more than a bare mention.",
    ),
    (
        "range of a Bayes factor",
        "What it would be with the priors half and twice as wide and under the other noise models, except those that "
        "the runs rule out. The word of a verdict holds for all of it; where it reaches to both sides there is none.",
    ),
    (
        "priors of another tool",
        "What the verdict would be had the analysis started from the priors that the tool mixle builds in. Told, but "
        "no part of the range.",
    ),
    (
        "noise model",
        "How single runs scatter about the curve: Student-t (with outliers), normal, Laplace, or Student-t whose scale "
        "changes with compute; always of the logarithm of the loss.",
    ),
    (
        "prior predictive, apart, own spread",
        "The losses that a law and its priors expect before any run; how far two laws' expectations lie apart "
        "(Wasserstein distance of log loss), and how unsure a law is itself (standard deviation of log loss).",
    ),
    (
        "claim, within reach",
        "A published statement about the exponent a, and the values of a that are as good as it: 0.02 on either side. "
        "Its probability is the share of draws there; its Bayes factor is for the claim against the rest of the law "
        "(Savage-Dickey ratio for a point).",
    ),
    (
        "probability of a law",
        "Its share of the evidence, all laws of this report being equally likely beforehand and "
        "one of them being taken as true.",
    ),
    (
        "elpd",
        "Expected log predictive density: how well a law predicts each run from the others (leave one out), "
        "summed over runs, in nats. SE is its standard error.",
    ),
    ("Pareto k", "Whether the leave-one-out score can be trusted: below 0.7 it can."),
    (
        "stacking weight",
        "The mixture of laws that would have predicted left-out runs best. It answers another question "
        "than the probability of a law, and may differ from it.",
    ),
    (
        "R-hat",
        "Whether independent chains of draws agree. 1 is agreement; up to 1.01 is good, above 1.05 the fit has failed.",
    ),
    (
        "ESS",
        "Effective sample size: how many independent draws the sample is worth, for the middle (bulk) and "
        "for the "
        "ends of intervals (tail).",
    ),
    (
        "divergences",
        "Steps of the sampler that broke down, a sign that part of the posterior was not reached. Should be none.",
    ),
    ("E-BFMI", "Whether the sampler moves freely through heavy tails; should be above 0.3."),
    (
        "mean, median, sd",
        "Of the draws. Where the scatter of a single run has such heavy tails that it has no mean, "
        "mean and sd are left empty and the median is given.",
    ),
    ("sigma, nu", "Scale and tail weight of the scatter of the logarithm of the loss about the curve."),
    ("residual", "Observed loss over fitted loss, minus one, in per cent."),
)
