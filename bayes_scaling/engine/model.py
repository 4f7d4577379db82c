"""`build(law, runs)`: the hypothesis as an ordinary `pm.Model`, to look at, extend or sample with anything.

The columns of the table are `pm.Data`, so the engine can hand the same compiled program another table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import DataError, unknown
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise, get_noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import get_law

if TYPE_CHECKING:
    import pymc as pm

    from bayes_scaling.runs.runs import Runs


OBSERVED, OBSERVED_DATA = "log_loss", "log_loss_data"
"""What `build` calls the observed variable, and the data it is given: two names, as PyMC asks for."""


def specify(
    law: str | ScalingLaw, noise: str | Noise = "student_t", priors: Mapping[str, Prior] | None = None
) -> tuple[ScalingLaw, Noise]:
    """Law and noise under the given priors, each override going to whichever of the two knows its name.

    Raises
    ------
    UsageError
        If the law or the noise model is unknown, or a prior names a parameter of neither.
    """
    law, noise = get_law(law), get_noise(noise)
    priors = dict(priors or {})
    mine = {k: priors.pop(k) for k in list(priors) if k in noise.parameters}
    if mine:
        parameters = {
            k: replace(v, prior=mine[k], reason="given by the user") if k in mine else v
            for k, v in noise.parameters.items()
        }
        noise = replace(noise, parameters=parameters)
    return law.with_priors(priors), noise


def specify_all(
    laws: Sequence[str | ScalingLaw], noise: str | Noise = "student_t", priors: Mapping[str, Prior] | None = None
) -> list[tuple[ScalingLaw, Noise]]:
    """As `specify`, for several laws: each prior goes to every law, or noise model, with a parameter of its name.

    Raises
    ------
    UsageError
        If a law or a noise model is unknown, or a prior names a parameter that none of them has.
    """
    chosen, noise, priors = [get_law(law) for law in laws], get_noise(noise), dict(priors or {})
    known = [{*law.parameters, *law.direct, *noise.parameters} for law in chosen]
    everything = set().union(*known)
    for name in priors:
        if name not in everything:
            raise unknown("parameter", name, everything, "See 'bayes-scaling laws NAME'.")
    own = [{name: prior for name, prior in priors.items() if name in names} for names in known]
    return [specify(law, noise, mine) for law, mine in zip(chosen, own, strict=True)]


def columns(law: ScalingLaw, noise: Noise, runs: Runs) -> dict[str, np.ndarray]:
    """The table as the model reads it: float64 arrays with dims (run,).

    `log_loss` is the observed log loss, `log_loss_sd` its standard error by the delta method (zero where unknown),
    `decades` the log10 of compute over the runs' geometric mean, the rest are the law's inputs.

    Raises
    ------
    DataError
        If the law names a column the table lacks.
    """
    frame = {}
    for name in law.inputs:
        frame[name] = input_column(law, runs, name)
    loss = np.asarray(runs.loss, float)
    frame["log_loss"] = np.log(loss)
    frame["log_loss_sd"] = np.zeros_like(loss) if runs.loss_sd is None else np.asarray(runs.loss_sd, float) / loss
    log_c = np.log10(np.asarray(runs.counted, float))
    frame["decades"] = log_c - log_c.mean()
    return frame


def input_column(law: ScalingLaw, runs: Runs, name: str) -> np.ndarray:
    """Column `name` of the table as a float64 array with dims (run,)."""
    if hasattr(runs, name):
        return np.asarray(getattr(runs, name), float)
    if name in runs.extra:
        return np.asarray(runs.extra[name], float)
    raise DataError(
        f"Law '{law.name}' needs a column '{name}', which {runs.name} lacks. "
        f"Name it with --map {name}=COLUMN, or choose another law."
    )


def build(
    law: str | ScalingLaw,
    runs: Runs,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
) -> pm.Model:
    """The PyMC model of one law on one table.

    Free variables are the law's and the noise's parameters (scalars); the derived constants are deterministics; the
    observed variable is `log_loss` with dims (run,), in log nats. The table is data, each with dims (run,): the law's
    inputs, `log_loss_data` (what is observed), `log_loss_sd` and `decades`, as in `columns`. For predictions give
    `pm.set_data` all of them, of any length; runs are then counted unless it is given their coordinates.

    Parameters
    ----------
    law, noise
        Each by name or by definition.
    runs
        As `load_runs` gives them.
    priors
        In place of the law's own and the noise's, by parameter name.

    Raises
    ------
    UsageError
        For an unknown law, noise model or parameter.
    DataError
        If the table lacks a column that the law names.
    """
    law, noise = specify(law, noise, priors)
    labels = [str(r) for r in runs.run]
    return build_columns(law, noise, columns(law, noise, runs), labels, OBSERVED, {OBSERVED: OBSERVED_DATA})


def build_columns(
    law: ScalingLaw,
    noise: Noise,
    frame: Mapping[str, np.ndarray],
    labels: list[str],
    observed: str = "observed",
    renamed: Mapping[str, str] | None = None,
) -> pm.Model:
    """As `build`, from prepared `columns`, whose data go by the names of the columns but for those `renamed`."""
    import pymc as pm

    renamed = renamed or {}
    with _model_class()(coords={"run": labels}) as model:
        data: dict[str, Any] = {k: pm.Data(renamed.get(k, k), values, dims="run") for k, values in frame.items()}
        p = {name: spec.prior.to_pymc(name) for name, spec in law.parameters.items()}
        space = SimpleNamespace(**p)
        for name, function in law.derived.items():
            pm.Deterministic(name, function(space, law.scale))
        q = {name: spec.prior.to_pymc(name) for name, spec in noise.parameters.items()}
        mu = pm.math.log(law.loss(p, data))
        scale = pm.math.sqrt(noise.scale(q, data["decades"]) ** 2 + data["log_loss_sd"] ** 2)
        noise.likelihood(observed, q, mu, scale, data["log_loss"], "run")
    return model


@cache
def _model_class() -> type[pm.Model]:
    """PyMC's model; a table of another length needs no names for its runs."""
    import pymc as pm

    class TableModel(pm.Model):  # type: ignore[misc]  # untyped
        def set_data(self, name: str, values: Any, coords: Any = None) -> None:
            length = len(values) if np.ndim(values) else 0
            if self.named_vars_to_dims.get(name) == ("run",) and length != len(self.coords["run"] or ()):
                coords = {"run": [str(i) for i in range(length)], **(coords or {})}
            super().set_data(name, values, coords=coords)

    return TableModel
