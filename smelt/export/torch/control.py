"""What stands around operators: lengths, branches, checks."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from smelt.control.cond import cond
from smelt.errors import ArgumentError
from smelt.export.torch.program import Program, Rule
from smelt.tensor import Tensor
from smelt.tensor.elementary import logical_not
from smelt.tracing.engine import current_engine

# --- lengths --------------------------------------------------------------------------------------


def _size(x: Tensor, dim: int) -> int:
    return x.shape[dim]


def _number_of_elements(x: Tensor) -> int:
    return math.prod(x.shape)


def _checked(*unused: Any, **options: Any) -> None:
    """What PyTorch asserts of dtypes and lengths, Smelt's own operations check."""


def _require(condition: Tensor, message: str = "an assertion of the model failed") -> None:
    current_engine().require(logical_not(condition), message, ArgumentError)


def _value(x: Tensor) -> Any:
    return x.item()


# --- branches -------------------------------------------------------------------------------------


def _branch(
    condition: Any, yes: Program, no: Program, operands: Sequence[Any] = ()
) -> tuple[Any, ...]:
    if isinstance(condition, bool):
        return tuple((yes if condition else no).run(operands))
    return tuple(cond(condition, _function(yes), _function(no), *operands))


def _function(body: Program) -> Callable[..., tuple[Any, ...]]:
    return lambda *operands: tuple(body.run(operands))


RULES: Final[dict[str, Rule]] = {
    "sym_size": _size,
    "sym_numel": _number_of_elements,
    "_local_scalar_dense": _value,
    "_assert_tensor_metadata": _checked,
    "_assert_scalar": _checked,
    "sym_constrain_range": _checked,
    "sym_constrain_range_for_size": _checked,
    "_assert_async": _require,
    "_assert_async.msg": _require,
    "higher_order.cond": _branch,
    "_operator.getitem": operator.getitem,
    "_operator.add": operator.add,
    "_operator.sub": operator.sub,
    "_operator.mul": operator.mul,
    "_operator.floordiv": operator.floordiv,
    "_operator.truediv": operator.truediv,
    "_operator.mod": operator.mod,
    "_operator.neg": operator.neg,
    "_operator.pow": operator.pow,
    "_operator.eq": operator.eq,
    "_operator.ne": operator.ne,
    "_operator.lt": operator.lt,
    "_operator.le": operator.le,
    "_operator.gt": operator.gt,
    "_operator.ge": operator.ge,
    "_operator.and_": operator.and_,
    "_operator.or_": operator.or_,
    "_operator.not_": operator.not_,
    "math.floor": math.floor,
    "math.ceil": math.ceil,
    "math.trunc": math.trunc,
    "torch.sym_float": float,
    "torch.sym_int": int,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_not": operator.not_,
}
