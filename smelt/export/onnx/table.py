"""The table from operations to how ONNX says them, and which have no form there, and why.

An elementwise operation needs no line: it is written as its card's expression.
"""

from __future__ import annotations

from typing import Final

from smelt.export.onnx import (
    elementwise,
    indexing,
    movement,
    operators,
    pooling,
    products,
    reductions,
    regions,
)
from smelt.export.onnx.writer import Rule, Rules
from smelt.ir.operation import Operation
from smelt.ops import elementwise as cards
from smelt.ops import random
from smelt.ops.elementwise import Elementwise

RULES: Final[Rules] = {
    **elementwise.RULES,
    **movement.RULES,
    **products.RULES,
    **reductions.RULES,
    **indexing.RULES,
    **pooling.RULES,
    **regions.RULES,
    **operators.RULES,
}
_UNSIGNED = "ONNX can only shift unsigned integers, which Smelt does not have"
MISSING: Final[dict[Operation, str]] = {
    cards.shl: _UNSIGNED,
    cards.shr: _UNSIGNED,
    cards.bitcast: "no ONNX runtime supports reinterpreting bits as another type yet",
    random.random_bits: (
        "random numbers need a generator's state, which an ONNX file does not have; draw them "
        "outside and pass them as an input"
    ),
}


def rule_of(op: Operation) -> Rule | None:
    """Returns the rule of an operation; None where it has no form in ONNX."""
    if op in RULES or op in MISSING:
        return RULES.get(op)
    return elementwise.expressed if isinstance(op, Elementwise) else None


def reason(op: Operation) -> str:
    """Returns why an operation has no form in ONNX."""
    return MISSING.get(op, "ONNX has no such operation")
