"""What `smelt.save` says of a value that it does not write, and where in the checkpoint it is."""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Callable, Iterator
from datetime import date, time
from typing import Any, NamedTuple

import numpy as np

from smelt.errors import ArgumentError
from smelt.tensor import Tensor
from smelt.tensor.checked import described as described_value

__all__ = ["Path", "described", "refusal"]


class Path(NamedTuple):
    """A place in a value of values; the outermost has no place around it."""

    around: Path | None
    key: Any

    def keys(self) -> list[Any]:
        """Returns the keys that lead from the outermost value here."""
        found, here = [], self
        while here.around is not None:
            found.append(here.key)
            here = here.around
        return found[::-1]

    def name(self) -> str:
        """Returns a name for what stands here, as a module would name it: `model.0.weight`."""
        return (
            ".".join(str(key) for key in self.keys()).encode(errors="replace").decode() or "value"
        )

    def __str__(self) -> str:
        keys = self.keys()
        return "checkpoint" + "".join(f"[{key!r}]" for key in keys) if keys else "the value"


def described(value: Any) -> str:
    """Returns a value in a few words."""
    kind = type(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}"
    if isinstance(value, np.generic):
        return f"a NumPy {kind.__name__}"
    if isinstance(value, (Tensor, np.ndarray)) or kind in (int, float, str, bool, type(None)):
        return described_value(value)
    return f"{'an' if kind.__name__[:1] in 'AEIOaeio' else 'a'} {kind.__name__}"


def refusal(value: Any, path: Path) -> ArgumentError:
    """Returns the error for a value that is not written."""
    advice = next(text for applies, text in _advice() if applies(value))
    return ArgumentError(f"save: {path} is {described(value)}: {advice}")


def _advice() -> Iterator[tuple[Callable[[Any], bool], str]]:
    """Yields what to do with which values; the first that applies is said."""

    def has(name: str) -> Callable[[Any], bool]:
        return lambda value: hasattr(value, name) and not isinstance(value, type)

    def is_a(*kinds: type) -> Callable[[Any], bool]:
        return lambda value: isinstance(value, kinds)

    yield has("state_dict"), "save its state_dict()"
    yield has("get_state"), "save its get_state()"
    yield is_a(type), "save its name, or the settings from which to make an object again"
    yield is_a(enum.Enum), "save its value"
    yield is_a(np.ndarray), "save its tolist()"
    yield is_a(str), "save str(...) of it"
    yield is_a(np.generic), "save its item()"
    yield has("_asdict"), "save its _asdict()"
    yield is_a(dict), "save dict(...) of it"
    yield is_a(tuple), "save tuple(...) of it"
    yield is_a(list), "save list(...) of it"
    yield is_a(int, float), "save int(...) or float(...) of it"
    yield is_a(os.PathLike), "save str(...) of it"
    yield is_a(date, time), "save its isoformat()"
    yield has("__dlpack__"), "save smelt.from_dlpack(...) of it"
    yield dataclasses.is_dataclass, "save dataclasses.asdict(...) of it"
    yield is_a(Iterator), "save list(...) of it"
    yield callable, "save its name"
    yield (
        lambda _: True,
        "save what it consists of; a file can hold tensors, NumPy arrays and numbers, text, bytes, "
        "None, dicts, lists, tuples and sets",
    )
