"""`cond`: one of two functions, chosen by a value that is known only when the step runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smelt import dtypes, tree
from smelt.control.body_tracer import Condition, TracedBody, trace_body
from smelt.control.carry import Wording, leaves_of, matching, snapshot
from smelt.control.cond_op import make_cond
from smelt.control.effects import apply_effects
from smelt.control.same_on_all_ranks import same_on_all_ranks
from smelt.control.tuple import get_element
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import where
from smelt.tracing.engine import current_engine

Function = Callable[..., Any]


def cond(predicate: Any, then: Function, otherwise: Function, *operands: Any) -> Any:
    """Returns `then(*operands)` if `predicate` is true, else `otherwise(*operands)`.

    Eagerly this is Python's `if`. In a compiled step both functions are traced, and one of them
    runs. Inside `vmap`, where the choice may differ from example to example, both run.

    Args:
        predicate: a bool, or a bool Tensor of shape ().
        then: takes the operands, returns a tree of Tensors. It may use and change other tensors.
        otherwise: likewise; its result must have the same tree, shapes and dtypes as that of
            `then`.
        operands: the arguments of both.

    Raises:
        DTypeError, ShapeError: the predicate is not one bool, or the results differ.
        ArgumentError: the results form different trees, or `then` or `otherwise` is not a function.

    The name and the order of arguments are those of JAX's `lax.cond`.
    """
    _check_function("then", then)
    _check_function("otherwise", otherwise)
    if not isinstance(predicate, Tensor):
        predicate = as_tensor(_python_bool(predicate))
    check_bool("cond: the predicate", predicate)
    if current_engine().writes_graph:
        return cond_in_graph(predicate, then, otherwise, operands)
    if not predicate.is_traced:
        results, structure = leaves_of((then if predicate.item() else otherwise)(*operands))
        return tree.unflatten(structure, list(map(snapshot, results)))
    chosen, structure = leaves_of(then(*operands))
    other = _agreeing(otherwise(*operands), structure, chosen)
    pairs = zip(chosen, other, strict=True)
    return tree.unflatten(structure, [where(predicate, a, b) for a, b in pairs])


def _check_function(which: str, value: Any) -> None:
    if not callable(value):
        kind = type(value).__name__
        raise ArgumentError(f"cond: `{which}` {_NO_FUNCTION.format(kind)}")


def _agreeing(value: Any, structure: tree.Structure, chosen: list[Tensor]) -> list[Tensor]:
    return matching("cond: the result", value, structure, chosen, _BRANCHES_DIFFER)


def _python_bool(predicate: Any) -> bool:
    try:
        return bool(predicate)
    except ValueError as error:
        raise ArgumentError(f"cond: the predicate must be one bool: {error}") from None


def check_bool(what: str, flag: Tensor) -> None:
    """Raises unless `flag` is a bool of shape ()."""
    if flag.dtype is not dtypes.bool_:
        hint = "compare it with something, as in x > 0"
        raise DTypeError(f"{what} must be a bool, got {flag.dtype.name}; {hint}")
    if flag.shape:
        raise ShapeError(f"{what} must be one bool, got shape {flag.shape}; use .any() or .all()")


def cond_in_graph(
    predicate: Tensor,
    then: Function,
    otherwise: Function,
    operands: tuple[Any, ...],
    what: str = "cond: the predicate",
) -> Any:
    """Writes both functions; each delivers its results, every change, and every violation.

    `what` is what an error calls the predicate.
    """
    chosen: list[Tensor] = []
    structure = tree.flatten(None)[1]

    def write_then() -> list[Tensor]:
        nonlocal chosen, structure
        chosen, structure = leaves_of(then(*operands))
        return chosen

    yes = trace_body(write_then)
    no = trace_body(lambda: _agreeing(otherwise(*operands), structure, chosen))
    count, branches = len(chosen), (yes, no)
    if yes.tracer.ordered or no.tracer.ordered:
        predicate = same_on_all_ranks(predicate, what)
    changes = [change for branch in branches for change in branch.tracer.changes()]
    changed = {id(change.tensor): change.tensor for change in changes}
    for branch in branches:
        branch.nodes.extend(branch.tracer.node_of(x) for x in changed.values())
    conditions = _conditions(yes, no)
    result_tuple = make_cond(predicate, yes, no)
    results = [get_element(result_tuple, number, node) for number, node in enumerate(yes.nodes)]
    apply_effects(list(changed.values()), conditions, results[count:])
    return tree.unflatten(structure, results[:count])


def _conditions(yes: TracedBody, no: TracedBody) -> list[Condition]:
    """Adds what each side counts as violations; the side that does not run counts none."""
    conditions = []
    for branch, opposite in ((yes, no), (no, yes)):
        for condition in branch.tracer.conditions:
            branch.nodes.append(condition.violations)
            opposite.nodes.append(opposite.tracer.literal(np.zeros((), np.int64), dtypes.int64))
            conditions.append(condition)
    return conditions


_BRANCHES_DIFFER = Wording(
    "from both branches, `then` and `otherwise`",
    ": the branches return {} and {}; both must return the same {}",
)
_NO_FUNCTION = (
    "must be a function of the operands, got a {}; write `lambda: ...`, or choose between values "
    "with smelt.where(predicate, a, b)"
)
