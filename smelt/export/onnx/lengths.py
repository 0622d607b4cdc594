"""Lengths in a file: symbolic numbers become ONNX arithmetic on the shapes of the inputs.

A symbolic number is a formula of symbols, each the extent of an axis of an input. What is written
for `2*batch + 1` is Shape, Gather, Mul and Add, on int64 tensors of one element, once a file.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.dtypes import DType, float64, int64
from smelt.errors import CompileError
from smelt.export.onnx.types import TYPES
from smelt.ir.symbolic import formula, is_symbolic

if TYPE_CHECKING:
    from smelt.export.onnx.writer import File

_SIGNS = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul"}
_ROUNDINGS = {"floor": "Floor", "ceil": "Ceil"}


class Arithmetic:
    """Computes symbolic numbers in a file. `sources` says of each symbol which axis it is."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.sources: dict[str, tuple[str, int]] = {}  # the input and its axis
        self._known: dict[str, str] = {}

    def vector(self, numbers: Sequence[Any]) -> str:
        """Returns numbers as an int64 tensor (n)."""
        parts = [
            self.number(next(group)) if symbolic else self._ints(list(group))
            for symbolic, group in _runs(numbers)
        ]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self._ints([])
        key = ", ".join(map(formula, numbers))
        if key not in self._known:
            self._known[key] = self._file.prepend("Concat", *parts, axis=0)
        return self._known[key]

    def number(self, number: Any) -> str:
        """Returns a symbolic int as a tensor (1)."""
        return self._value(ast.parse(formula(number), mode="eval").body)

    def scalar(self, number: Any, dtype: DType) -> str:
        """Returns a symbolic number as a tensor of shape () of a dtype."""
        value = self._value(ast.parse(formula(number), mode="eval").body)
        key = f"{formula(number)} as {dtype.name}"
        if key not in self._known:
            cast = self._file.prepend("Cast", value, to=TYPES[dtype.name])
            self._known[key] = self._file.prepend("Reshape", cast, self._ints([]))
        return self._known[key]

    def _ints(self, numbers: list[int]) -> str:
        return self._file.constant(np.array(numbers, np.int64).reshape(-1), int64)

    def _value(self, tree: ast.expr) -> str:
        """Returns what an expression gives: int64 (1), or float64 (1) where it is a fraction."""
        key = ast.unparse(tree)
        if key not in self._known:
            self._known[key] = self._computed(tree)
        return self._known[key]

    def _computed(self, tree: ast.expr) -> str:
        file = self._file
        match tree:
            case ast.Name(id=name):
                source, axis = self.sources[name]
                return file.prepend("Gather", file.prepend("Shape", source), self._ints([axis]))
            case ast.Constant(value=int(value)):
                return self._ints([value])
            case ast.Constant(value=float(value)):
                return file.constant(np.array([value]), float64)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return file.prepend("Neg", self._value(operand))
            case ast.BinOp(op=ast.Div()):
                return file.prepend("Div", *map(self._fraction, (tree.left, tree.right)))
            case ast.BinOp(op=ast.Mod()):
                return file.prepend("Mod", self._value(tree.left), self._value(tree.right))
            case ast.BinOp(op=ast.FloorDiv()):
                a, b = self._value(tree.left), self._value(tree.right)
                # Div of integers cuts off, and Mod has the divisor's sign
                return file.prepend("Div", file.prepend("Sub", a, file.prepend("Mod", a, b)), b)
            case ast.BinOp(op=sign) if type(sign) in _SIGNS:
                sides = tree.left, tree.right
                read = self._fraction if any(map(_is_fraction, sides)) else self._value
                return file.prepend(_SIGNS[type(sign)], *map(read, sides))
            case ast.Call(func=ast.Attribute(attr=name), args=[operand]) if name in _ROUNDINGS:
                rounded = file.prepend(_ROUNDINGS[name], self._fraction(operand))
                return file.prepend("Cast", rounded, to=TYPES["int64"])
        raise CompileError(
            f"save_onnx: a length is computed as {ast.unparse(tree)}, which ONNX cannot express; "
            "leave the axis out of dynamic_axes"
        )

    def _fraction(self, tree: ast.expr) -> str:
        value = self._value(tree)
        if _is_fraction(tree):
            return value
        key = f"{ast.unparse(tree)} as a fraction"
        if key not in self._known:
            self._known[key] = self._file.prepend("Cast", value, to=TYPES["float64"])
        return self._known[key]


def _is_fraction(tree: ast.expr) -> bool:
    """Whether an expression gives a float."""
    match tree:
        case ast.Constant(value=value):
            return isinstance(value, float)
        case ast.UnaryOp(operand=operand):
            return _is_fraction(operand)
        case ast.BinOp(op=ast.Div()):
            return True
        case ast.BinOp(left=left, right=right):
            return _is_fraction(left) or _is_fraction(right)
    return False


def _runs(numbers: Sequence[Any]) -> list[tuple[bool, Any]]:
    """Returns symbolic numbers one by one, and neighbors that are not symbolic together."""
    runs: list[tuple[bool, Any]] = []
    for symbolic, group in itertools.groupby(numbers, is_symbolic):
        members = list(group)
        runs += [(True, iter([one])) for one in members] if symbolic else [(False, iter(members))]
    return runs
