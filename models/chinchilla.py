"""Chinchilla: an irreducible loss plus two additive power laws.

L(N, D) = E + A / N^alpha + B / D^beta                      eq. 2 of Hoffmann et al. (2022), arXiv:2203.15556
"""

from bayes_scaling.law import CheckPoint, Direct, Parameter, Published, ScalingLaw
from bayes_scaling.ops import balance, exp, log, power
from bayes_scaling.prior import lognormal


def formula(p, x):
    return p.E + p.gap_params * power(x.n, -p.alpha) + p.gap_tokens * power(x.d, -p.beta)


def A(p, scale):
    return p.gap_params * scale.params**p.alpha


def B(p, scale):
    return p.gap_tokens * scale.tokens**p.beta


def gap_params(p, scale):
    return p.A * scale.params**-p.alpha


def gap_tokens(p, scale):
    return p.B * scale.tokens**-p.beta


def optimum(p, scale, flops):
    # eq. 4 of Hoffmann et al. (2022), with amplitudes at the reference scale instead of A and B.
    log_c = log(flops / (6 * scale.params * scale.tokens))
    return scale.params * exp(balance(log(p.gap_params), p.alpha, log(p.gap_tokens), p.beta, log_c))


def optimum_exponent(p):
    return p.beta / (p.alpha + p.beta)


LAW = ScalingLaw(
    name="chinchilla",
    title="Chinchilla",
    equation="L = E + A/N^alpha + B/D^beta",
    formula=formula,
    parameters={
        "E": Parameter(
            lognormal(median=1.6, sigma=0.5),
            "irreducible loss; published fits over corpora and tokenizers lie between 0.4 and 3.3 nats",
            "nats per token",
        ),
        "gap_params": Parameter(
            lognormal(median=0.5, sigma=0.8),
            "what a finite model costs at the reference scale; 90 % between 0.13 and 1.9 nats",
            "nats per token",
        ),
        "gap_tokens": Parameter(
            lognormal(median=0.5, sigma=0.8),
            "what finite data cost at the reference scale; 90 % between 0.13 and 1.9 nats",
            "nats per token",
        ),
        "alpha": Parameter(
            lognormal(median=0.3, sigma=0.5), "positive; published exponents of N lie between 0.2 and 0.5"
        ),
        "beta": Parameter(
            lognormal(median=0.3, sigma=0.5), "positive; published exponents of D lie between 0.2 and 0.5"
        ),
    },
    derived={"A": A, "B": B},
    direct={"A": Direct("gap_params", gap_params), "B": Direct("gap_tokens", gap_tokens)},
    optimum=optimum,
    trust=2,  # believes the loss falls slower than it does where N and D interact
    optimum_exponent=optimum_exponent,
    citation="Hoffmann et al. (2022), arXiv:2203.15556, eq. 2 and approach 3",
    published=(
        Published(
            "Hoffmann et al. (2022)",
            {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
            corpus="MassiveText",
            note="as rounded in the paper; their intervals were too narrow",
        ),
        Published(
            "Besiroglu et al. (2024)",
            {"E": 1.8169, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3659},
            corpus="MassiveText",
            note="240 of the 245 digitised runs",
        ),
    ),
    check=CheckPoint(
        values={"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
        inputs={"params": 70e9, "tokens": 1.4e12},
        # 70e9^0.34 = 4867.8 and 1.4e12^0.28 = 2517.2 by logarithms: 1.69 + 0.08349 + 0.16316
        loss=1.93665,
        source="Hoffmann et al. (2022), Chinchilla itself under the rounded constants",
        rtol=2e-5,
    ),
)
