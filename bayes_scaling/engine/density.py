"""From a `pm.Model` to JAX: log prior and pointwise log likelihood, each on its own, with the data as real inputs.

PyMC's own helper bakes `pm.Data` in as constants, so every table costs a compilation. Here each shared variable
becomes an argument: one compiled program serves every table of the same padded length. Prior and likelihood are
kept apart because evidence, sensitivity and tempering need them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.platforms import on_accelerator
from bayes_scaling.engine.exports import Outline
from bayes_scaling.engine.prepared import split
from bayes_scaling.engine.rowsum import block_of, blocked_sum

if TYPE_CHECKING:
    import pymc as pm

Data = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Density:
    """The log density of a model, in unconstrained coordinates.

    Parameters
    ----------
    names, shapes
        Free variables in the order they are laid out in the flat vector `x`, dims (unknown,).
    size
        Length of `x`.
    log_prior
        `log_prior(x)`: scalar, with the Jacobian of the transform, so that it is a density over `x`.
    pointwise
        `pointwise(x, data)`: log likelihood of each observation, dims (run,).
    constrain
        `constrain(x)`: free variables and scalar deterministics in their own units, by name.
    data
        The model's own data, by name; what `pointwise` takes.
    initial
        PyMC's initial point, dims (unknown,).
    rowwise
        Whether each term of `pointwise` depends on its own row of the data alone, so that large tables can be summed
        in blocks. True of every law; unknown of a user's model.
    prepare
        `prepare(data)`: the data, and with them what of `pointwise` depends on them alone; `pointwise` takes either.
        See `prepared`.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    size: int
    log_prior: Callable[[Any], Any]
    pointwise: Callable[[Any, Data], Any]
    constrain: Callable[[Any], dict[str, Any]]
    data: dict[str, np.ndarray]
    initial: np.ndarray
    rowwise: bool = field(default=False, kw_only=True)
    prepare: Callable[[Data], dict[str, Any]] = field(default=dict, kw_only=True)

    def log_likelihood(self, x: Any, data: Data, mask: Any) -> Any:
        """Scalar log likelihood; padded runs have mask zero and count nothing."""
        # Only the model's own columns have rows: others that come with them are none of its business.
        own = self.prepare({name: data[name] for name in self.data})
        return blocked_sum(self.terms, x, own, mask, self.at_once(mask))

    def at_once(self, mask: Any) -> int:
        """Rows whose terms exist at the same time while a table of this mask is summed."""
        rows = mask.shape[0]
        return block_of(rows, on_accelerator()) if self.rowwise else rows

    def terms(self, x: Any, data: Data) -> Any:
        """As `pointwise`, dims (run,), where columns of zeros may be scalars (see `padding.Table`)."""
        if not self.rowwise:
            return self.pointwise(x, data)
        import jax.numpy as jnp

        rows = max(np.shape(v) for v in data.values())
        return self.pointwise(x, {name: jnp.broadcast_to(v, rows) for name, v in data.items()})

    def log_density(self, x: Any, data: Data, mask: Any) -> Any:
        """Scalar log prior plus log likelihood."""
        return self.log_prior(x) + self.log_likelihood(x, data, mask)

    @property
    def outline(self) -> Outline:
        """Names, shapes and starting point of the unknowns: what is needed without the model."""
        return Outline(self.names, self.shapes, tuple(self.initial.tolist()))

    @property
    def n(self) -> int:
        """How many observations the model's own data hold."""
        import jax

        return int(jax.eval_shape(self.pointwise, self.initial, self.data).shape[0])


def deferred(
    outline: Outline, data: dict[str, np.ndarray], whole: Callable[[], Density], rowwise: bool = False
) -> Density:
    """A density known in outline; `whole` is called once its functions are traced, if they ever are."""
    lock = Lock()
    found: list[Density] = []

    def real() -> Density:
        import jax

        # Asked for in the middle of a trace: the model's constants must not become part of that one.
        with lock, jax.ensure_compile_time_eval():
            if not found:
                found.append(whole())
            return found[0]

    return Density(
        names=outline.names,
        shapes=outline.shapes,
        size=len(outline.initial),
        log_prior=lambda x: real().log_prior(x),
        pointwise=lambda x, data: real().pointwise(x, data),
        constrain=lambda x: real().constrain(x),
        prepare=lambda data: real().prepare(data),
        data=data,
        initial=np.array(outline.initial),
        rowwise=rowwise,
    )


def density(model: pm.Model, rowwise: bool = False) -> Density:
    """Compile `model` to JAX functions (traced when first called; nothing is evaluated here).

    `rowwise`: see `Density`.
    """
    import jax.numpy as jnp
    from pymc.util import get_default_varnames
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.traversal import graph_inputs
    from pytensor.link.jax.dispatch import jax_funcify
    from pytensor.tensor import TensorType

    values = list(model.value_vars)
    prior = model.logp(vars=model.free_RVs, sum=False)
    likelihood = model.logp(vars=model.observed_RVs, sum=False) if model.observed_RVs else []
    potentials = list(model.potentials)
    reported = list(get_default_varnames(model.unobserved_value_vars, include_transformed=False))

    shared: dict[str, SharedVariable] = {
        str(v.name): v
        for v in graph_inputs([*prior, *likelihood, *potentials])
        if isinstance(v, SharedVariable) and v.name in model.named_vars
    }
    arguments = {name: TensorType(v.type.dtype, shape=v.type.shape)(f"{name}__input") for name, v in shared.items()}
    swap = [(shared[name], arguments[name]) for name in shared]

    priors = jax_funcify(_rewritten([*values], [*prior, *potentials], []))
    reports = jax_funcify(_rewritten([*values], reported, []))
    graph = _rewritten([*values, *arguments.values()], likelihood, swap)
    columns, graph = split(graph, arguments) if rowwise else ([], graph)
    likelihoods = jax_funcify(graph)

    point = model.initial_point()
    shapes = tuple(np.shape(point[v.name]) for v in values)
    sizes = [int(np.prod(s)) for s in shapes]
    ends = np.cumsum(sizes)

    def parts(x: Any) -> list[Any]:
        return [x[end - size : end].reshape(shape) for size, end, shape in zip(sizes, ends, shapes, strict=True)]

    def log_prior(x: Any) -> Any:
        return sum(jnp.sum(term) for term in priors(*parts(x)))

    def prepare(data: Data) -> dict[str, Any]:
        return {**data, **{c.name: c.of(data) for c in columns if c.name not in data}}

    def pointwise(x: Any, data: Data) -> Any:
        data = prepare(data)
        given = [data[name] for name in (*arguments, *(c.name for c in columns))]
        terms = likelihoods(*parts(x), *given)
        # Nothing observed: one observation that says nothing, because JAX cannot map over empty ones.
        return jnp.concatenate([jnp.ravel(t) for t in terms]) if terms else jnp.zeros(1)

    names = [v.name for v in reported]

    def constrain(x: Any) -> dict[str, Any]:
        return dict(zip(names, reports(*parts(x)), strict=True))

    return Density(
        names=tuple(v.name for v in values),
        shapes=shapes,
        size=int(ends[-1]),
        log_prior=log_prior,
        pointwise=pointwise,
        constrain=constrain,
        prepare=prepare,
        data={name: np.asarray(v.get_value()) for name, v in shared.items()},
        initial=np.concatenate([np.ravel(point[v.name]) for v in values]).astype(float),
        rowwise=rowwise,
    )


def _rewritten(inputs: list[Any], outputs: list[Any], swap: list[tuple[Any, Any]]) -> Any:
    """The graph that JAX is to run; shared variables in `swap` become arguments, others become constants."""
    from pymc.sampling.jax import _replace_shared_variables
    from pytensor.compile import mode
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.replace import clone_replace

    if swap:
        outputs = clone_replace(outputs, replace=swap)
    graph = FunctionGraph(inputs=inputs, outputs=_replace_shared_variables(outputs) if outputs else [], clone=True)
    mode.JAX.optimizer.rewrite(graph)
    return graph
