"""Own exp, log, tanh and their kin: loop-IR arithmetic that vectorizes to any number of lanes."""

from __future__ import annotations

from collections.abc import Callable

from smelt.compiler.codegen.transcendental import exponential, logarithm, power, trigonometry
from smelt.compiler.codegen.transcendental.building_blocks import FORMATS, name_shared
from smelt.errors import CompileError
from smelt.ir.loops import Expression, Let, Variable

_FUNCTIONS: dict[str, Callable[..., Expression]] = {
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "tanh": exponential.tanh,
    "erf": exponential.erf,
    "log": logarithm.log,
    "log2": logarithm.log2,
    "log10": logarithm.log10,
    "log1p": logarithm.log1p,
    "sin": trigonometry.sin,
    "cos": trigonometry.cos,
    "pow": power.power,
    "atan2": trigonometry.atan2,
}
TRANSCENDENTAL = frozenset(_FUNCTIONS)


def expand(op: str, arguments: tuple[Variable, ...]) -> tuple[tuple[Let, ...], Expression]:
    """Writes `op` as arithmetic: lets to put before, and the expression of the result.

    `op` is one of TRANSCENDENTAL; the arguments are float32 or float64, of any lanes. The names of
    the lets are made of the op's and the arguments' names: unique where those are.

    Raises CompileError for another op or dtype.
    """
    if op not in TRANSCENDENTAL or any(part.dtype not in FORMATS for part in arguments):
        given = ", ".join(f"{part.dtype.name} {part.name}" for part in arguments)
        known = ", ".join(sorted(TRANSCENDENTAL))
        raise CompileError(f"no approximation of {op}({given}): of floats there are {known}")
    result = _FUNCTIONS[op](*arguments)
    prefix = "_".join((op, *(argument.name for argument in arguments)))
    return name_shared(result, prefix)
