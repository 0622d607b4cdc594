"""The table from PyTorch's operators to rules, and why some have none.

A key is the name of an operator without its overload, for all of them, or with it, for that one.
"""

from __future__ import annotations

from typing import Final

from smelt.export.torch import (
    activations,
    control,
    creation,
    elementwise,
    indexing,
    losses,
    movement,
    normalization,
    pooling,
    products,
    recurrent,
    reductions,
)
from smelt.export.torch.program import Rule

RULES: Final[dict[str, Rule]] = {
    **elementwise.RULES,
    **activations.RULES,
    **reductions.RULES,
    **movement.RULES,
    **indexing.RULES,
    **products.RULES,
    **normalization.RULES,
    **pooling.RULES,
    **recurrent.RULES,
    **losses.RULES,
    **creation.RULES,
    **control.RULES,
}
_SIZES_UNKNOWN = "the size of its result depends on values, which a compiled step does not know"
_MEMORY = "it says where elements lie in memory; tensors of Smelt's are values"
_COMPLEX = "Smelt has no complex numbers"
REASONS: Final[dict[str, str]] = {
    "nonzero": _SIZES_UNKNOWN,
    "masked_select": _SIZES_UNKNOWN,
    "unique": _SIZES_UNKNOWN,
    "_unique2": _SIZES_UNKNOWN,
    "as_strided": _MEMORY,
    "view_as_complex": _COMPLEX,
    "view_as_real": _COMPLEX,
    "_fft_r2c": _COMPLEX,
    "_fft_c2r": _COMPLEX,
    "_fft_c2c": _COMPLEX,
    "complex": _COMPLEX,
    "polar": _COMPLEX,
    "lstm.data": "sequences are packed; pad them, and give Smelt's own layer their lengths",
    "gru.data": "sequences are packed; pad them, and give Smelt's own layer their lengths",
}


def _name(operator: str) -> str:
    return operator.removeprefix("aten.")


def rule_of(operator: str) -> Rule | None:
    """Returns the rule of an operator, such as "aten.add.Tensor"; None where it has none."""
    name = _name(operator)
    return RULES.get(name) or RULES.get(name.rpartition(".")[0])


def reason(operator: str) -> str:
    """Returns why an operator has no rule."""
    name = _name(operator)
    return REASONS.get(name) or REASONS.get(name.rpartition(".")[0]) or "Smelt has no rule for it"
