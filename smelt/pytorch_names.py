"""PyTorch's names, by module: where Smelt has them, and what to write where it has not."""

from __future__ import annotations

from smelt.absent_names import INSTEAD
from smelt.name_families import FAMILIES, WHOLE
from smelt.names import answer

__all__ = ["install"]

_ALIASES = {  # of functions that PyTorch has under several names
    "absolute": "abs", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arctan2": "atan2",
    "asarray": "as_tensor", "broadcast_to": "expand", "clip": "clamp", "concat": "cat",
    "divide": "div", "fix": "trunc", "ger": "outer", "greater": "gt", "greater_equal": "ge",
    "less": "lt", "less_equal": "le", "moveaxis": "movedim", "multiply": "mul", "negative": "neg",
    "not_equal": "ne", "row_stack": "vstack", "subtract": "sub", "swapaxes": "transpose",
    "swapdims": "transpose", "true_divide": "div",
}  # fmt: skip
_LAZY = {
    "smelt": {
        **{name: f"smelt:{meant}" for name, meant in _ALIASES.items()},
        **{name: f"math:{name}" for name in ("e", "inf", "nan", "pi")},
        "autograd": "smelt.autograd",
        "backends": "smelt.backends",
        "bool": "smelt.dtypes:bool_",
        "cuda": "smelt.cuda",
        "distributed": "smelt.distributed",
        "dtype": "smelt.dtypes:DType",
        "export": "smelt.export",
        "float": "smelt.dtypes:float32",
        "int": "smelt.dtypes:int32",
        "load": "smelt.export:load",
        "save": "smelt.export:save",
        "train": "smelt.train",
        "utils": "smelt.utils",
    },
    "smelt.nn.init": {  # PyTorch's old names
        name: f"smelt.nn.init:{name}_"
        for name in "constant eye kaiming_normal kaiming_uniform normal orthogonal uniform "
        "xavier_normal xavier_uniform".split()
    },
    "smelt.nn": {"functional": "smelt.nn.functional", "utils": "smelt.nn.utils"},
}


def install(module: str) -> None:
    """Lets a module answer for PyTorch's names."""
    families = (WHOLE[module],) if module in WHOLE else FAMILIES
    instead = INSTEAD.get(module, {})
    if module == "smelt":  # where PyTorch has many of the functions of networks, too
        instead = {**INSTEAD["smelt.nn.functional"], **instead}
    answer(module, _LAZY.get(module, {}), instead, families)
