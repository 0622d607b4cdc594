"""What a module, or a tensor, answers when it is asked for a name that it does not hold.

Some are loaded when they are first wanted. For the others the error says what to write: where Smelt
has the name, what Smelt has in its place, that it has nothing, or which name may have been meant.

Installed from outside, since type checkers would let a module with a `__getattr__` of its own have
any attribute.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from smelt.errors import MissingName
from smelt.name_families import Family

__all__ = ["answer", "hint"]

# where names are looked for that a module does not hold, and how they are written
HOMES = {
    "smelt": "smelt.{}",
    "smelt.functional": "smelt.nn.functional.{}",
    "smelt.nn": "smelt.nn.{}",
    "smelt.nn.init": "smelt.nn.init.{}",
    "smelt.nn.utils": "smelt.nn.utils.{}",
    "smelt.optim": "smelt.optim.{}",
    "smelt.optim.lr_scheduler": "smelt.optim.lr_scheduler.{}",
    "smelt.utils.data": "smelt.utils.data.{}",
    "smelt.autograd": "smelt.autograd.{}",
    "smelt.data": "smelt.data.{}",
    "smelt.train": "smelt.train.{}",
}
SIMILAR = 0.75  # from which likeness on a name may have been meant


def answer(
    module: str,
    lazy: Mapping[str, str],
    instead: Mapping[str, str],
    families: Iterable[Family] = (),
) -> None:
    """Lets a module answer for names that it does not hold.

    Args:
        module: its name.
        lazy: where names are found that are loaded later: "module", or "module:name".
        instead: what to write in the place of names that Smelt has not.
        families: the same for patterns of names.
    """
    held = vars(sys.modules[module])

    def look_up(name: str) -> Any:
        if name in lazy:
            place, _, attribute = lazy[name].partition(":")
            loaded = importlib.import_module(place)
            return getattr(loaded, attribute) if attribute else loaded
        message = f"module {module!r} has no attribute {name!r}"
        if name.startswith("__"):  # a protocol of Python's asks
            raise AttributeError(message)
        public = frozenset((*held["__all__"], *lazy))
        raise MissingName(message + hint(name, public, module, instead, families))

    held["__getattr__"] = look_up
    held["__dir__"] = lambda: sorted({*held, *lazy})


def hint(
    name: str,
    public: frozenset[str],
    owner: str,
    instead: Mapping[str, str],
    families: Iterable[Family] = (),
) -> str:
    """Returns what to write in the place of a name, as it stands behind a message.

    Args:
        name: what was asked for.
        public: the names that are there.
        owner: the module that was asked.
        instead: what to write in the place of names.
        families: the same for patterns of names.
    """
    plain = re.sub(r"(_copy)?_?$", "", name)  # PyTorch's forms that change a tensor, or copy it
    if plain != name and plain in public:
        return f": tensors are values; write {plain} for a new one"
    for known in (name, plain):
        if known in instead:
            return f": {instead[known]}"
        for pattern, reason in families:
            if re.fullmatch(pattern, known):
                return f": {reason}"
    home = _home(name, owner)
    if home:
        return f": it is {home}"
    near = _nearest(name, public)
    return f"; did you mean {near!r}?" if near else ": Smelt has no such name, nor a similar one"


def _home(name: str, owner: str) -> str:
    """Returns how to write a name that Smelt has elsewhere."""
    for module, written in HOMES.items():
        loaded = sys.modules.get(module)  # imports are none of an error's business
        if module != owner and name in getattr(loaded, "__all__", ()):
            return written.format(name)
    tensors: Any = sys.modules.get("smelt.tensor.tensor")
    is_method = hasattr(tensors and tensors.Tensor, name)
    return f"a method of tensors, x.{name}(...)" if is_method and owner != "Tensor" else ""


@functools.lru_cache(maxsize=1024)
def _nearest(name: str, public: frozenset[str]) -> str:
    near = difflib.get_close_matches(name, public, 1, SIMILAR)
    return near[0] if near else ""
