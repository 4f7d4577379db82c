"""Kaplan with a floor: Kaplan's coupled power law above an irreducible loss.

L(N, D) = E + [ (N_c / N)^(alpha / beta) + D_c / D ]^beta

Kaplan et al. (2020), eq. 1.5, with the irreducible term that Henighan et al. (2020) introduced; the case of the
coupled law whose inner data exponent is one.
"""

from bayes_scaling.law import CheckPoint, Direct, Parameter, ScalingLaw
from bayes_scaling.models import kaplan
from bayes_scaling.prior import lognormal


def formula(p, x):
    return p.E + kaplan.formula(p, x)


LAW = ScalingLaw(
    name="kaplan_floor",
    title="Kaplan with a floor",
    equation="L = E + [(N_c/N)^(alpha/beta) + D_c/D]^beta",
    formula=formula,
    parameters={
        "E": Parameter(
            lognormal(median=1.6, sigma=0.5), "irreducible loss; the same knowledge as in Chinchilla", "nats per token"
        ),
        "gap_params": Parameter(
            lognormal(median=0.8, sigma=0.7),
            "what a finite model costs at the reference scale; the two gaps do not add here, so each is larger",
            "nats per token",
        ),
        "gap_tokens": Parameter(
            lognormal(median=0.8, sigma=0.7), "what finite data cost at the reference scale", "nats per token"
        ),
        "alpha": Parameter(
            lognormal(median=0.25, sigma=0.5), "positive; between Kaplan's 0.076 without a floor and Chinchilla's 0.34"
        ),
        "beta": Parameter(lognormal(median=0.25, sigma=0.5), "positive; also the strength of the coupling"),
    },
    derived={"N_c": kaplan.N_c, "D_c": kaplan.D_c},
    direct={"N_c": Direct("gap_params", kaplan.gap_params), "D_c": Direct("gap_tokens", kaplan.gap_tokens)},
    optimum=kaplan.optimum,
    trust=9,  # nearly unbiased a decade out on most public tables
    optimum_exponent=kaplan.optimum_exponent,
    citation="Kaplan et al. (2020), arXiv:2001.08361, eq. 1.5; floor: Henighan et al. (2020), arXiv:2010.14701",
    check=CheckPoint(
        values={"E": 1.0, "N_c": 6.4e13, "D_c": 1.8e13, "alpha": 0.076, "beta": 0.103},
        inputs={"params": 1.5e9, "tokens": 2.2e10},
        loss=3.31255,
        source="Kaplan's check point raised by a floor of one nat",
        rtol=2e-5,
    ),
)
