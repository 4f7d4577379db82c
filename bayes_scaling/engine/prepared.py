"""What of a likelihood depends on the data alone is worked out once for a table, not once for each gradient.

The logarithms of parameters and tokens cost as much as the rest of a power law. On a small table the compiler takes
them out of the sampler's loop by itself; on a large one, which goes block by block, it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Column:
    """A column computed from the data: its name, the data it is computed from, and how, on JAX arrays in that order."""

    name: str
    sources: tuple[str, ...]
    function: Callable[..., Any]

    def of(self, data: Mapping[str, Any]) -> Any:
        """From columns with dims (row,); a scalar where all that it is computed from are scalars."""
        import jax.numpy as jnp

        given = [jnp.atleast_1d(data[name]) for name in self.sources]
        (value,) = self.function(*jnp.broadcast_arrays(*given))
        return value if any(jnp.ndim(data[name]) for name in self.sources) else value[0]


def split(graph: Any, names: Iterable[str]) -> tuple[list[Column], Any]:
    """The columns that a graph needs of the data, and the rest of the graph.

    Parameters
    ----------
    graph
        A rewritten PyTensor `FunctionGraph`.
    names
        Of its inputs that are data: the last so many.

    Returns
    -------
    columns, rest
        `rest` is a FunctionGraph with the same outputs whose inputs are those of `graph` that are not data, then the
        data, then the columns. Only elementwise functions of vectors are taken out: anything else (a sum, a length)
        may be another for a part of the rows.
    """
    from pytensor.graph.basic import Constant
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.traversal import explicit_graph_inputs
    from pytensor.link.jax.dispatch import jax_funcify
    from pytensor.tensor.elemwise import Elemwise

    names = list(names)
    first = len(graph.inputs) - len(names)
    data = dict(zip(graph.inputs[first:], names, strict=True))
    known = {variable for variable in data if variable.type.ndim == 1}
    vectors = set(known)

    def constant(variable: Any) -> bool:
        return isinstance(variable, Constant) and variable.type.ndim <= 1 and np.size(variable.data) == 1

    for node in graph.toposort():
        of_data = any(v in known for v in node.inputs) and all(v in known or constant(v) for v in node.inputs)
        if of_data and isinstance(node.op, Elemwise) and len(node.outputs) == 1:
            known.add(node.outputs[0])
    wanted = {v for node in graph.toposort() if node.outputs[0] not in known for v in node.inputs}
    wanted |= set(graph.outputs)
    chosen = [node.outputs[0] for node in graph.toposort() if node.outputs[0] in known & wanted - vectors]

    columns: list[Column] = []
    replaced: list[tuple[Any, Any]] = []
    for i, variable in enumerate(chosen):
        sources = [v for v in explicit_graph_inputs([variable]) if v in data]
        part = FunctionGraph(inputs=sources, outputs=[variable], clone=True)
        columns.append(Column(f"column {i}", tuple(data[v] for v in sources), jax_funcify(part)))
        replaced.append((variable, variable.type()))
    rest = FunctionGraph(
        inputs=[*graph.inputs, *(new for _, new in replaced)],
        outputs=clone_replace(graph.outputs, replace=replaced),
        clone=True,
    )
    return columns, rest
