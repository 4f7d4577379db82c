"""Kaplan: a pure power law without an irreducible loss, its two bottlenecks coupled by the data exponent.

L(N, D) = [ (N_c / N)^(alpha_N / alpha_D) + D_c / D ]^alpha_D       eq. 1.5 of Kaplan et al. (2020), arXiv:2001.08361

`alpha` is alpha_N and `beta` is alpha_D: the exponents of the loss in N with unlimited data, and in D with an
unlimited model, as in every other law here. `gap_params` is the loss of the reference model with unlimited data.
"""

from bayes_scaling.law import CheckPoint, Direct, Parameter, Published, ScalingLaw
from bayes_scaling.ops import balance, exp, log, logaddexp
from bayes_scaling.prior import lognormal


def formula(p, x):
    inner_params = (log(p.gap_params) - p.alpha * log(x.n)) / p.beta
    inner_tokens = log(p.gap_tokens) / p.beta - log(x.d)
    return exp(p.beta * logaddexp(inner_params, inner_tokens))


def N_c(p, scale):
    return scale.params * exp(log(p.gap_params) / p.alpha)


def D_c(p, scale):
    return scale.tokens * exp(log(p.gap_tokens) / p.beta)


def gap_params(p, scale):
    return (p.N_c / scale.params) ** p.alpha


def gap_tokens(p, scale):
    return (p.D_c / scale.tokens) ** p.beta


def optimum(p, scale, flops):
    # The outer power does not move the minimum of the bracket.
    log_c = log(flops / (6 * scale.params * scale.tokens))
    inner = balance(log(p.gap_params) / p.beta, p.alpha / p.beta, log(p.gap_tokens) / p.beta, 1.0, log_c)
    return scale.params * exp(inner)


def optimum_exponent(p):
    return p.beta / (p.alpha + p.beta)


LAW = ScalingLaw(
    name="kaplan",
    title="Kaplan",
    equation="L = [(N_c/N)^(alpha/beta) + D_c/D]^beta",
    formula=formula,
    parameters={
        "gap_params": Parameter(
            lognormal(median=2.5, sigma=0.45),
            "the whole loss of the reference model with unlimited data: no floor stands under it",
            "nats per token",
        ),
        "gap_tokens": Parameter(
            lognormal(median=2.5, sigma=0.45),
            "the whole loss of an unlimited model on the reference data",
            "nats per token",
        ),
        "alpha": Parameter(
            lognormal(median=0.09, sigma=0.7),
            "positive; without a floor the same slope in nats needs a smaller exponent (Kaplan: 0.076)",
        ),
        "beta": Parameter(lognormal(median=0.1, sigma=0.7), "positive; Kaplan: 0.103 jointly, 0.095 alone"),
    },
    derived={"N_c": N_c, "D_c": D_c},
    direct={"N_c": Direct("gap_params", gap_params), "D_c": Direct("gap_tokens", gap_tokens)},
    optimum=optimum,
    trust=1,  # misses larger runs by 1 to 9 % on most public tables
    optimum_exponent=optimum_exponent,
    citation="Kaplan et al. (2020), arXiv:2001.08361, eq. 1.5",
    published=(
        Published(
            "Kaplan et al. (2020)",
            {"N_c": 6.4e13, "D_c": 1.8e13, "alpha": 0.076, "beta": 0.103},
            corpus="WebText2",
            note="N without embeddings",
        ),
    ),
    check=CheckPoint(
        values={"N_c": 6.4e13, "D_c": 1.8e13, "alpha": 0.076, "beta": 0.103},
        inputs={"params": 1.5e9, "tokens": 2.2e10},
        # (6.4e13/1.5e9)^(0.076/0.103) = exp(10.6612 * 0.737864) = 2608.4; 1.8e13/2.2e10 = 818.18; 3426.6^0.103
        loss=2.31255,
        source="Kaplan et al. (2020), table 2 constants at GPT-2's size and data",
        rtol=2e-5,
    ),
)
