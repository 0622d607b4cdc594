"""Errors of functions that are called with arguments they do not take.

Smelt's functions check what they can by looking at shapes and dtypes. A value of the wrong type (a
string where a tensor is expected) makes some line far below fail with an error of Python or NumPy.
`checked` catches that at the user's call, compares the arguments with the annotations of the
function, and says which of them is wrong. A call with PyTorch's argument names is repeated with
Smelt's (`spellings`). It costs one more function frame per call.

Flags are checked beforehand, since Python accepts any value as true or false ("False" is true). So
are strings that are not among those of their `Literal`.

Errors that pass through the user's code, such as a function given to `grad`, are left unchanged.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import is_dataclass
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError, SmeltError
from smelt.location import is_own
from smelt.ops.op import is_whole_number
from smelt.tensor.spellings import respelled
from smelt.tensor.suggestions import instead, nearest
from smelt.tracing.apply import is_tensor

__all__ = [
    "a_kind_of", "checked", "checked_constructors", "checked_flags", "checked_methods",
    "checked_names", "checked_room", "explained", "mark_foreign", "misfit",
]  # fmt: skip

Called = TypeVar("Called", bound=Callable[..., Any])
Owner = TypeVar("Owner", bound=type)

CHECKED = "smelt_is_checked"  # the attribute of a function that is checked already
FOREIGN = "smelt_is_foreign"  # the attribute of an error of another process's that is not Smelt's
RAW = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    StopIteration,
    TypeError,
    ValueError,
)


def checked(
    function: Called, module: str = "", qualified_name: str = "", every_kind: bool | None = False
) -> Called:
    """Returns the function with errors of Smelt's in the place of Python's and NumPy's.

    Args:
        function: any function of Smelt's.
        module: where the result can be found, so that it can be pickled.
        qualified_name: under which name it stands there.
        every_kind: look at the kinds of all arguments before the call, as constructors do, whose
            arguments are used later; else at those of True and False, and of a few words, only;
            None: at none, as scikit-learn wants it of constructors.
    """
    flags = [] if every_kind is None else _flags(function)

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if flags:
            _check_flags(function, flags, arguments, options)
        if every_kind:
            _check_kinds(function, arguments, options)
        try:
            return function(*arguments, **options)
        except RAW as error:
            if isinstance(error, SmeltError) or passed_through_foreign_code(error):
                raise
            again = respelled(function, arguments, options) if type(error) is TypeError else None
            if again is None:
                raise explained(function, arguments, options, error) from error
        return again.finish(call(*again.arguments, **again.options))

    setattr(call, CHECKED, True)
    call.__module__ = module or function.__module__
    call.__qualname__ = qualified_name or function.__qualname__
    return cast("Called", call)


def checked_flags(owner: Owner) -> Owner:
    """Returns a class whose public methods look at their arguments that are True or False."""
    for name, method in list(vars(owner).items()):
        if isinstance(method, FunctionType) and not name.startswith("_") and _flags(method):
            setattr(owner, name, checked(method))
    return owner


def checked_methods(owner: Owner) -> Owner:
    """Returns a class whose constructor, call and public methods are checked."""
    for name, method in list(vars(owner).items()):
        public = not name.startswith("_") or name in ("__init__", "__call__")
        if public and isinstance(method, FunctionType):
            setattr(owner, name, checked(method, every_kind=name == "__init__"))
    return owner


def checked_names(names: dict[str, Any], chosen: Iterable[str], module: str) -> None:
    """Puts checked functions in the place of Smelt's own functions among the names of a module."""
    for name in chosen:
        value: Any = names.get(name)
        if _is_unchecked(value) and value.__module__.startswith("smelt."):
            names[name] = checked(value, module, name)


def checked_constructors(
    names: dict[str, Any], chosen: Iterable[str], every_kind: bool | None = True
) -> None:
    """Lets the classes of Smelt's among the names of a module say what is wrong with a call of
    theirs; `every_kind` is that of `checked`.
    """
    for name in chosen:
        made = names.get(name)
        if not isinstance(made, type) or not made.__module__.startswith("smelt."):
            continue
        if is_dataclass(made):  # what Smelt makes
            continue
        for owner in made.__mro__:
            init: Any = vars(owner).get("__init__")
            if _is_unchecked(init) and owner.__module__.startswith("smelt."):
                owner.__init__ = checked(init, every_kind=every_kind)  # type: ignore[misc]


def _is_unchecked(value: Any) -> bool:
    return isinstance(value, FunctionType) and not hasattr(value, CHECKED)


def checked_room(module: str) -> None:
    """Checks the functions and classes that a module of Smelt's lets its users call."""
    names = vars(sys.modules[module])
    checked_names(names, names["__all__"], module)
    checked_constructors(names, names["__all__"])


def explained(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    error: Exception,
) -> SmeltError:
    """Returns the error that says what was wrong with a call that ended in a raw error."""
    name, signature = _name(function, arguments), _signature(function)
    try:
        given = signature.bind(*arguments, **options).arguments
    except TypeError as misfit:
        hint = instead(signature, arguments, options, misfit)
        return ArgumentTypeError(f"{name}: {misfit}{hint}")
    wrong = _of_another_kind(name, signature, given)
    if wrong is not None:
        return wrong
    shown = ", ".join(described(value) for value in given.values())
    return ArgumentError(f"{name}({shown}): {error}")


def misfit(
    name: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    error: Exception,
) -> ArgumentTypeError | None:
    """Returns the error of a call that Python could not make, since the arguments do not fit.

    Args:
        name: what the function is called.
        function: the user's.
        arguments: what it was given.
        options: the same by keyword.
        error: what Python raised in the calling frame.

    Returns:
        None where the function was called, and the error came from within.
    """
    frames = error.__traceback__
    if not isinstance(error, TypeError) or frames is None or frames.tb_next is not None:
        return None
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments, **options)
    except TypeError as reason:
        hint, taken = nearest(signature, options, len(arguments)), ", ".join(signature.parameters)
        return ArgumentTypeError(f"{name}: {reason}{hint}; it takes ({taken})")
    return None


def passed_through_foreign_code(error: BaseException) -> bool:
    """Returns whether an error came up through a function that is not Smelt's, or below it; of one
    that was sent by another process, also whether it did so there.
    """
    traceback = error.__traceback__
    if getattr(error, FOREIGN, False):
        return True
    while traceback is not None:
        if not is_own(traceback.tb_frame.f_code.co_filename):
            return True
        traceback = traceback.tb_next
    return False


def mark_foreign(error: BaseException) -> None:
    """Notes at an error, which is to be sent to another process, where it came up through."""
    if passed_through_foreign_code(error):
        setattr(error, FOREIGN, True)


def described(value: Any) -> str:
    """Returns a value in a few words."""
    if is_tensor(value):
        return f"{value.dtype.name} {value.shape}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {value.shape}"
    if value is None or isinstance(value, (bool, int, float, str)):
        text = repr(value)
        return text if len(text) <= 40 else f"{text[:37]}..."
    return f"the class {value.__name__}" if isinstance(value, type) else a_kind_of(value)


def a_kind_of(value: Any) -> str:
    """Returns the name of a value's class behind its article: "an Adam"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeio' else 'a'} {name}"


def _check_kinds(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    signature = _signature(function)
    try:
        given = signature.bind(*arguments, **options).arguments
    except TypeError:
        return  # the call says it
    wrong = _of_another_kind(_name(function, arguments), signature, given)
    if wrong is not None:
        raise wrong


def _of_another_kind(
    name: str, signature: inspect.Signature, given: dict[str, Any]
) -> ArgumentTypeError | None:
    """Returns the error of the first argument that is not of a kind that its annotation names."""
    for parameter, value in given.items():
        facts = signature.parameters[parameter]
        kinds = _kinds(facts.annotation) if facts.kind not in _VARIADIC else []
        if kinds and not any(_is_kind(kind, value) for kind in kinds):
            return _wrong_kind(name, parameter, kinds, value)
    return None


def _wrong_kind(name: str, parameter: str, kinds: list[str], value: Any) -> ArgumentTypeError:
    wanted = " or ".join(_WORDS.get(kind) or " or ".join(_choices(kind)) for kind in kinds)
    hint = "; give several axes as one tuple" if parameter == "keepdim" else ""
    return ArgumentTypeError(f"{name}: {parameter} must be {wanted}, got {described(value)}{hint}")


# --- arguments that are True or False, or one of a few words --------------------------------------

Flag = tuple[int, str, list[str]]  # place among the arguments, name, kinds


def _flags(function: Callable[..., Any]) -> list[Flag]:
    """Returns which arguments of a function are True or False, or one of a few words, by their
    annotations.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return []
    by_place, kinds = code.co_argcount, function.__annotations__
    names = enumerate(code.co_varnames[: by_place + code.co_kwonlyargcount])
    return [
        (place if place < by_place else sys.maxsize, name, found)
        for place, name in names
        if (found := _chosen(kinds.get(name)))
    ]


def _chosen(annotation: Any) -> list[str]:
    """Returns the kinds of an argument that is True or False, or one of a few words; else none."""
    kinds = _kinds(annotation) if isinstance(annotation, str) else []
    choices = [kind for kind in kinds if kind == "bool" or _choices(kind)]
    return kinds if choices and set(kinds) <= {*choices, "None"} else []


def _check_flags(
    function: Callable[..., Any],
    flags: list[Flag],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    count = len(arguments)
    for place, name, kinds in flags:
        if place < count:
            value = arguments[place]
        elif name in options:
            value = options[name]
        else:
            continue
        if (value is True or value is False) and "bool" in kinds:
            continue
        if not any(_is_kind(kind, value) for kind in kinds):
            raise _wrong_kind(_name(function, arguments), name, kinds, value)


def _name(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """Returns the name of a function, of a class for its constructor, and `Class.method`."""
    owner, _, name = function.__qualname__.rpartition(".")
    owner = owner.rpartition(".")[2]
    of_tensor = name != "__init__" and bool(arguments) and is_tensor(arguments[0])
    if not owner or owner == "<locals>" or of_tensor:
        return function.__name__
    own = arguments[0] if arguments else None
    made = own if isinstance(own, type) else type(own)  # a class, of its class methods
    is_ours = made.__module__.startswith("smelt.")  # of a user's subclass the name says less
    if name == "__init__" and not is_ours and not owner.startswith("_"):
        return owner
    kind = made.__name__ if arguments else owner
    return kind if name == "__init__" else f"{kind}.{function.__name__}"


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


# --- kinds of arguments, as annotations name them -------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.number, np.bool_)) or is_tensor(value)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_sequence_of_int(value: Any) -> bool:
    return _is_sequence(value) and all(map(is_whole_number, value))


_IS_KIND: dict[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "Tensor": is_tensor,
    "bool": lambda value: isinstance(value, (bool, np.bool_)),
    "int": is_whole_number,
    "float": _is_number,
    "str": lambda value: isinstance(value, str),
    "Sequence[int]": _is_sequence_of_int,
    "Sequence[Any]": _is_sequence,
    "Sequence[Tensor]": lambda value: _is_sequence(value) and all(map(is_tensor, value)),
    "Function": callable,
}
_WORDS = {
    "None": "None",
    "Tensor": "a Tensor (smelt.tensor makes one)",
    "bool": "True or False",
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "Sequence[int]": "a sequence of whole numbers",
    "Sequence[Any]": "a sequence",
    "Sequence[Tensor]": "a sequence of Tensors",
    "Function": "a function",
}
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_ALIASES = {
    "Dims": "int | Sequence[int] | None",
    "tuple[int, ...]": "Sequence[int]",
    "Callable[..., Any]": "Function",
    "np.ndarray": "",
}


def _kinds(annotation: Any) -> list[str]:
    """Returns the kinds that an annotation allows; none where it allows what is not listed."""
    text = _ALIASES.get(str(annotation), str(annotation))
    parts = [_ALIASES.get(part, part) for part in text.split(" | ")]
    return parts if all(part in _IS_KIND or _choices(part) for part in parts) else []


def _choices(kind: str) -> list[str]:
    """Returns the values of `Literal['step', 'epoch']`, as written; none of other kinds."""
    listed = re.fullmatch(r"Literal\[(.*)\]", kind)
    return [value.strip().replace('"', "'") for value in listed[1].split(",")] if listed else []


def _is_kind(kind: str, value: Any) -> bool:
    is_kind = _IS_KIND.get(kind)
    return repr(value) in _choices(kind) if is_kind is None else is_kind(value)
