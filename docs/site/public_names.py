"""What is public: the modules that people import, and where each of their names is explained."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

__all__ = [
    "MODULES", "Name", "Section", "aliases", "is_public", "names", "public_name_of", "sections",
]  # fmt: skip

# In this order: a thing that two modules name is explained where it comes first, and the other
# module refers to it. `smelt.nn.functional` has its names from `smelt.functional`.
MODULES = (
    "smelt",
    "smelt.nn",
    "smelt.nn.functional",
    "smelt.nn.init",
    "smelt.nn.utils",
    "smelt.nn.utils.rnn",
    "smelt.optim",
    "smelt.optim.lr_scheduler",
    "smelt.data",
    "smelt.train.metrics",
    "smelt.train",
    "smelt.plot",
    "smelt.report",
    "smelt.distributed",
    "smelt.tabular",
    "smelt.sklearn",
    "smelt.recipes",
    "smelt.export",
    "smelt.runtime",
    "smelt.random",
    "smelt.autograd",
    "smelt.dual",
    "smelt.dtypes",
    "smelt.errors",
    "smelt.backends",
    "smelt.cuda",
    "smelt.utils.data",
)

LONGEST = 50  # letters of a title; a longer one ends at its first comma


@dataclass(frozen=True)
class Name:
    """A public name.

    Args:
        module: the public module that has it.
        name: what it is called there.
        value: what it stands for.
        home: the module whose file defines it.
    """

    module: str
    name: str
    value: Any
    home: str

    @property
    def path(self) -> str:
        """The whole name, `smelt.nn.Linear`."""
        return f"{self.module}.{self.name}"

    @property
    def is_own(self) -> bool:
        """Whether it is what the thing calls itself: `cat` is, `concatenate` is not."""
        return self.name == getattr(self.value, "__name__", getattr(self.value, "name", None))

    @property
    def is_constant(self) -> bool:
        """Whether it is neither a function nor a class."""
        return not (inspect.isclass(self.value) or inspect.isroutine(self.value))


@dataclass(frozen=True)
class Section:
    """The names of a public module that one file defines, under the heading of that file.

    Args:
        module: the public module.
        home: the module whose file defines them.
        names: those that are explained here.
    """

    module: str
    home: str
    names: tuple[Name, ...]

    @property
    def title(self) -> str:
        """What the file says that it holds, or the name itself where it is the only one."""
        if len(self.names) == 1:
            return self.names[0].name
        if self.home == self.module:
            return "Names"
        first = re.sub(r"\s+", " ", (sys.modules[self.home].__doc__ or "").split("\n\n")[0])
        title = re.split(r"[:;]\s|\.(?=\s[A-Z]|$)|\s\(", first, maxsplit=1)[0].replace("`", "")
        return title if len(title) <= LONGEST else title.split(",")[0]

    @property
    def slug(self) -> str:
        """What its page is called."""
        return self.names[0].name if len(self.names) == 1 else self.home.replace(".", "-")


@cache
def names() -> tuple[Name, ...]:
    """Returns every public name, module by module in the order of `__all__`."""
    return tuple(name for module in MODULES for name in _names_of(module))


@cache
def aliases() -> dict[str, Name]:
    """Returns the names that stand for what is explained under another one."""
    groups: dict[int, list[Name]] = {}
    for name in names():
        key = id(inspect.unwrap(name.value) if callable(name.value) else name.value)
        groups.setdefault(key, []).append(name)
    found = {}
    for group in groups.values():
        own = [name for name in group if name.is_own and name.module == group[0].module]
        chosen = (own or group)[0]
        found.update({name.path: chosen for name in group if name is not chosen})
    return found


@cache
def sections(module: str) -> tuple[Section, ...]:
    """Returns the sections of a public module, in the order in which their files are first named.

    Aliases are left out.
    """
    by_home: dict[str, list[Name]] = {}
    for name in names():
        if name.module == module and name.path not in aliases():
            by_home.setdefault(name.home, []).append(name)
    parts = (Section(module, home, tuple(found)) for home, found in by_home.items())
    return tuple(sorted(parts, key=lambda part: (len(part.names) == 1, part.title.lower())))


@cache
def _by_identity() -> dict[int, str]:
    found: dict[int, str] = {}
    for name in names():
        if not name.is_constant:
            found.setdefault(id(inspect.unwrap(name.value)), name.path)
    return found


@cache
def _by_last_part() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names():
        if name.path not in aliases():
            found.setdefault(name.name, []).append(name.path)
    return found


def is_public(value: Any) -> bool:
    """Whether a class or function has a public name."""
    return id(inspect.unwrap(value)) in _by_identity()


@cache
def public_name_of(target: str, module: str = "") -> str | None:
    """Returns the public name of what a text refers to, such as `smelt.nn.module.Module`.

    Args:
        target: a name with or without its module; of a method too.
        module: the public module in which the text stands; its own names come first.
    """
    if f"{module}.{target}" in _paths():
        return f"{module}.{target}"
    if target in _paths():
        return target
    if target.startswith("smelt."):
        return _imported(target)
    owner, _, member = target.rpartition(".")
    if owner and (holder := public_name_of(owner, module)):
        value = _value_of(holder)
        return f"{holder}.{member}" if inspect.isclass(value) and member in vars(value) else None
    paths = _by_last_part().get(target, ())
    return paths[0] if len(paths) == 1 else None


@cache
def _paths() -> frozenset[str]:
    return frozenset(name.path for name in names())


def _value_of(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _imported(target: str) -> str | None:
    module, _, name = target.rpartition(".")
    held = sys.modules.get(module)
    value = getattr(held, name, None) if held else None
    return _by_identity().get(id(inspect.unwrap(value))) if callable(value) else None


def _names_of(module: str) -> Iterator[Name]:
    held = importlib.import_module(module)
    for name in held.__all__:
        value = getattr(held, name)
        if not isinstance(value, ModuleType):
            yield Name(module, name, value, _home(value, module))


def _home(value: Any, module: str) -> str:
    """Returns the module in whose file something is defined, as far as Python knows."""
    if callable(value) and (code := getattr(inspect.unwrap(value), "__code__", None)):
        files = {getattr(held, "__file__", None): held for held in list(sys.modules.values())}
        if code.co_filename in files:
            return str(files[code.co_filename].__name__)
    home = getattr(value, "__module__", None) if callable(value) else type(value).__module__
    return home if isinstance(home, str) and home.startswith("smelt.") else module
