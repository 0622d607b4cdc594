"""PyTorch's and NumPy's names of arguments, for calls that Python cannot bind.

A call that fits costs nothing for this: `checked` asks here only after Python could not bind the
arguments. A keyword is then one of these:

- another name of a parameter: `axis` for `dim`, `input` for the first one, `size` for `shape`;
- without effect here: `device="cpu"`, `inplace=True` (the result is a new tensor), `foreach`;
- applied to the result: `requires_grad=True`;
- an error that says what to write instead: `out=y`, `device="cuda"`;
- unknown: `checked` names the nearest.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from smelt.errors import ArgumentError
from smelt.tensor.device import check_device

__all__ = ["Respelled", "respelled"]

# words for one thing; where a function has one of them, the others mean it
_SYNONYMS = (
    ("dim", "dims", "axis", "axes"),
    ("keepdim", "keepdims"),
    ("shape", "size", "sizes", "dims"),
    ("repeats", "reps", "dims"),
    ("dim0", "axis0"),
    ("dim1", "axis1"),
    ("min", "a_min", "min_value"),
    ("max", "a_max", "max_value"),
    ("p", "ord"),
    ("split_size", "split_size_or_sections", "indices_or_sections"),
    ("indices", "index"),
    ("fill_value", "value"),
    ("src", "value"),
    ("n", "N"),
    ("tensors", "arrays"),
    ("normalized_shape", "normalized_size"),
    ("correction", "ddof"),
    ("approximate", "approx"),
    # of CSV files, by pandas and polars
    ("separator", "sep", "delimiter"),
    ("nulls", "null_values", "na_values"),
    ("types", "dtype", "dtypes", "schema_overrides"),
    ("columns", "usecols"),
    ("names", "new_columns", "columns"),
    ("skip_rows", "skiprows"),
    ("comment", "comment_prefix"),
)
_FIRST = ("input", "self", "a", "x", "tensor", "mat1", "obj", "condition", "equation", "theta")
_SECOND = ("other", "mat2", "vec2", "tensor", "vec", "exponent", "end", "y", "b")
# what to write for those that ask for what Smelt does otherwise
_INSTEAD = {
    "batch_sampler": "give batch_size, or iterate over batches of your own",
    "byte": "write dtype=",
    "chunksize": "write iterate_csv(path, batch_size=n)",
    "converters": "write table.with_columns({name: values})",
    "index_col": "a Table has no index; the column is read like the others",
    "keep_default_na": "write nulls=False if only an empty field is missing",
    "n_rows": "write read_csv(...)[:n], or iterate_csv for the first rows of a large file",
    "nrows": "write read_csv(...)[:n], or iterate_csv for the first rows of a large file",
    "parse_dates": "dates stay text, as in the file",
    "try_parse_dates": "dates stay text, as in the file",
    "last_epoch": "to resume, load the schedule's state with load_state_dict",
    "proj_size": "put an nn.Linear after the layer",
    "reduce": "write reduction='none'",
    "return_indices": "write F.max_pool without it; torch's max_unpool has no counterpart",
    "quote_char": 'quotes are "; replace others in the text before',
    "quotechar": 'quotes are "; replace others in the text before',
    "skipinitialspace": "strip the texts afterwards, by table.with_columns({name: values})",
    "scale_grad_by_freq": "scale the gradient with a hook on the weight",
    "size_average": "write reduction='mean' or reduction='sum'",
    "sparse": "gradients are dense; leave it out",
    "worker_init_fn": "workers are threads that share everything; leave it out",
}
# whose last parameter is `inplace` in PyTorch, modules and functions
_IN_PLACE_LAST = frozenset(
    {
        "celu", "dropout", "elu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
        "leakyrelu", "mish", "relu", "relu6", "selu", "silu",
    }
)  # fmt: skip
# whatever their value, nothing changes
_WITHOUT_EFFECT = frozenset(
    {
        "capturable", "foreach", "fused", "half_to_float", "inplace", "layout", "memory_format",
        "non_blocking", "persistent_workers", "pin_memory", "pin_memory_device", "retain_graph",
        "stable",
    }
)  # fmt: skip
# without effect where they ask for nothing
_OFF = frozenset(
    {
        "complex", "differentiable", "divisor_override",
        "batch_sampler", "enable_gqa", "multiprocessing_context", "names", "timeout",
        "verbose", "worker_init_fn", "padding_idx", "proj_size", "return_indices",
        "scale_grad_by_freq", "sparse", "dtype",
    }
)  # fmt: skip


def _has_header(header: Any) -> bool:
    """Returns whether there is a header, for pandas' number of its line."""
    if header not in (None, 0, "infer"):
        raise ArgumentError(
            f"header={header!r} is not supported: to skip the lines above the header, write "
            f"skip_rows={header!r}"
        )
    return header is not None


# words for a parameter that has other values
_MEANT: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "unbiased": ("correction", int),
    "header": ("has_header", _has_header),
    "decimal_comma": ("decimal", lambda comma: "," if comma else "."),
    "verbose": ("progress", bool),
}


class Respelled(NamedTuple):
    """A call with Smelt's argument names, and what is applied to its result."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    finish: Callable[[Any], Any]


def respelled(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Respelled | None:
    """Translates a call that Python could not bind to Smelt's names; None if it has no meaning.

    Args:
        function: what was called.
        arguments: its positional arguments.
        options: its keywords.

    Raises:
        ArgumentError: a keyword asks for something that Smelt does not have, such as another
            device.
    """
    parameters = inspect.signature(function).parameters
    if len(arguments) == len(parameters) + 1 and _ends_in_place(function, arguments[-1]):
        return Respelled(arguments[:-1], options, lambda result: result)
    foreign = [name for name in options if not _takes(parameters.get(name))]
    if not foreign or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    name = owner if function.__name__ == "__init__" else function.__name__
    call = _Call(name, list(parameters.values()), arguments, dict(options))
    if not all(call.translate(name) for name in foreign):
        return None
    return call.finished()


def _ends_in_place(function: Callable[..., Any], last: Any) -> bool:
    """Returns whether the last argument is PyTorch's `inplace`, as in `ReLU(True)`."""
    owner, _, name = function.__qualname__.rpartition(".")
    name = owner.rpartition(".")[2] if name == "__init__" else name
    return isinstance(last, bool) and name.lower() in _IN_PLACE_LAST


def _takes(parameter: inspect.Parameter | None) -> bool:
    """Returns whether an argument can be given to a parameter by its name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return parameter is not None and parameter.kind in kinds


class _Call:
    """A call whose keywords are translated one by one."""

    def __init__(
        self,
        name: str,
        parameters: list[inspect.Parameter],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        self.name = name
        self.skipped = int(bool(parameters) and parameters[0].name == "self")
        self.parameters = parameters
        self.arguments = list(arguments)
        self.options = options
        self.finish: Callable[[Any], Any] = lambda result: result

    def translate(self, keyword: str) -> bool:
        """Gives a keyword its meaning; returns whether it has one."""
        value = self.options.pop(keyword)
        if keyword == "out" and value is not None:
            raise ArgumentError(
                f"{self.name}(out=...) is not supported: tensors are values; write out = "
                f"{self.name}(...), or out.copy_({self.name}(...)) for state"
            )
        target = self._parameter(keyword)
        if target is not None:
            self._give(target, value)
        elif keyword == "device":
            check_device(value)
        elif keyword in _MEANT and any(p.name == _MEANT[keyword][0] for p in self.parameters):
            meant, of_value = _MEANT[keyword]
            self.options[meant] = of_value(value)
        elif keyword == "requires_grad":
            self.finish = lambda result: result.requires_grad_(value)
        elif keyword not in _WITHOUT_EFFECT and not self._asks_for_nothing(keyword, value):
            self.options[keyword] = value
            if keyword in _INSTEAD:
                raise ArgumentError(
                    f"{self.name}: {keyword}= is not supported: {_INSTEAD[keyword]}"
                )
            return False
        return True

    def _asks_for_nothing(self, keyword: str, value: Any) -> bool:
        if keyword in ("out", "generator"):
            return value is None
        if keyword == "last_epoch":
            return value == -1
        if keyword == "sorted":
            return value is True
        return keyword in _OFF and not value

    def _parameter(self, keyword: str) -> inspect.Parameter | None:
        """Returns the parameter that a keyword means, one that has not been given."""
        own = self.parameters[self.skipped :]
        free = own[max(0, len(self.arguments) - self.skipped) :]
        free = [p for p in free if p.name not in self.options]
        for words in _SYNONYMS:
            if keyword in words:
                for parameter in free:
                    if parameter.name in words:
                        return parameter
        place = 0 if keyword in _FIRST else 1 if keyword in _SECOND else None
        by_place = own[place : place + 1] if place is not None else []
        return by_place[0] if by_place and by_place[0] in free and self.name != "__init__" else None

    def _give(self, parameter: inspect.Parameter, value: Any) -> None:
        if parameter.kind is parameter.VAR_POSITIONAL:
            self._give_by_place(parameter)
            self.arguments += value if isinstance(value, (tuple, list)) else (value,)
        else:
            self.options[parameter.name] = value

    def _give_by_place(self, parameter: inspect.Parameter) -> None:
        """Moves what stands before `*shape` in front of it: by name it could not be given."""
        for before in self.parameters[: self.parameters.index(parameter)]:
            if before.name in self.options:
                self.arguments.append(self.options.pop(before.name))

    def finished(self) -> Respelled:
        """Returns the call."""
        return Respelled(tuple(self.arguments), self.options, self.finish)
