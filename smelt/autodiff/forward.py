"""Forward mode: `jvp`."""

from __future__ import annotations

from typing import Any

from smelt import tree
from smelt.autodiff.record import Function, Recording, matching, output_tensors
from smelt.errors import ArgumentError


def jvp(function: Function, primals: Any, tangents: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Returns `function(*primals)` and its directional derivative along `tangents`.

        tangent = J(primals) @ tangents

    Args:
        function: takes and returns trees of Tensors (returns `(result, aux)` with `has_aux`).
        primals: a tuple of its arguments, float Tensors or trees of them.
        tangents: a tuple with the same trees, shapes and dtypes.
        has_aux: whether `function` returns more than its result.

    Returns:
        `(result, tangent)`, two trees of the same structure, or `(result, tangent, aux)`.

    Raises:
        ArgumentError, ShapeError, DTypeError: `tangents` do not fit `primals`.
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentError(
            "jvp: primals and tangents must be tuples with one entry per argument: "
            f"jvp(f, (x,), (dx,)); got a {type(primals).__name__} and a {type(tangents).__name__}"
        )
    primals, tangents = tuple(primals), tuple(tangents)
    run = Recording("jvp", function, tuple(range(len(primals))), primals, {})
    given = matching("jvp: the tangents", tangents, tree.flatten(primals)[1], run.inputs)
    result, aux = run.split_aux(has_aux)
    outputs, structure = output_tensors(result)
    output_tangents = tree.unflatten(structure, run.jvp(outputs, given))
    value = tree.unflatten(structure, [run.released(y) for y in outputs])
    pair = value, output_tangents
    return (*pair, tree.map(run.released, aux)) if has_aux else pair
