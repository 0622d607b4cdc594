"""Writes the pages of the reference: one for each public module, and for each file of a large one.

The pages hold directives of `sphinx.ext.autodoc`; what they say comes from the docstrings.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from docstrings import translated
from public_names import MODULES, Name, Section, aliases, is_public, names, sections
from sphinx.pycode import ModuleAnalyzer

__all__ = ["write"]

LARGE = 25  # names from which on a module has a page for each of its files


def write(folder: Path) -> None:
    """Writes all pages into a folder, and removes pages that are left from another time.

    A page whose text is the same is not touched, so that Sphinx does not read it anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = dict(_pages())
    for path in folder.glob("*.rst"):
        if path.name not in pages:
            path.unlink()
    for name, lines in pages.items():
        path, text = folder / name, "\n".join(lines).rstrip() + "\n"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def _pages() -> Iterator[tuple[str, list[str]]]:
    yield "index.rst", list(_index())
    for module in MODULES:
        parts = sections(module)
        large = sum(len(part.names) for part in parts) >= LARGE
        yield f"{module}.rst", list(_module_page(module, parts, large))
        for part in parts if large else ():
            yield f"{module}.{part.slug}.rst", list(_section_page(part))


def _index() -> Iterator[str]:
    yield from _heading("Reference", "=")
    yield "Every public name, from its docstring. `smelt.nn.functional` is mostly imported as `F`."
    yield ""
    yield from _table((f":doc:`{module}`", _summary(_doc(module), module)) for module in MODULES)
    yield from [".. toctree::", "    :hidden:", "", *(f"    {module}" for module in MODULES), ""]


def _module_page(module: str, parts: tuple[Section, ...], large: bool) -> Iterator[str]:
    yield from _heading(module, "=")
    yield from [f".. py:module:: {module}", ""]
    yield from [*translated(_doc(module), module), ""]
    if large:
        yield from _contents(module, parts)
    else:
        for part in parts:
            yield from _heading(_escaped(part.title), "-") if len(parts) > 1 else ()
            yield from _explained(part)
    yield from _aliases(module)


def _contents(module: str, parts: tuple[Section, ...]) -> Iterator[str]:
    """Yields tables of what stands on pages of its own; names that are alone there come last."""
    for part in parts:
        if len(part.names) > 1:
            yield from _heading(_escaped(part.title), "-")
            yield from [f"All on one page: :doc:`{module}.{part.slug}`.", ""]
            yield from _table(map(_row, part.names))
    single = [part.names[0] for part in parts if len(part.names) == 1]
    if single:
        yield from _heading("More", "-")
        yield from _table(map(_row, single))


def _section_page(part: Section) -> Iterator[str]:
    alone = len(part.names) == 1
    yield from [":orphan:", ""]  # found from the page of the module; the sidebar would be too long
    yield from _heading(part.names[0].path if alone else _escaped(part.title), "=")
    yield from [f".. py:currentmodule:: {part.module}", ""]
    if not alone and part.home != part.module:
        yield from [*translated(_doc(part.home), part.module), ""]
        yield from _table(map(_row, part.names))
    yield from _explained(part)


def _explained(part: Section) -> Iterator[str]:
    for name in part.names:
        where = name.name if name.is_constant else name.path  # Sphinx puts the module in front
        yield from [f".. {_directive(name)}:: {where}", *_options(name), ""]


def _directive(name: Name) -> str:
    if inspect.isclass(name.value):
        return "autoexception" if issubclass(name.value, BaseException) else "autoclass"
    return "py:data" if name.is_constant else "autofunction"


def _options(name: Name) -> Iterator[str]:
    if inspect.isclass(name.value):
        members = ", ".join(_members(name.value))
        yield "    :show-inheritance:"
        yield from [f"    :members: {members}", "    :inherited-members:"] if members else ()
    elif name.is_constant:
        yield ""
        yield from (f"    {line}" for line in translated(_said_of(name), name.module))


def _members(value: type) -> Iterator[str]:
    """Yields what a class has of its own, or of bases that are not public, and explains."""
    seen = set()
    elsewhere = {over for base in value.__mro__[1:] if is_public(base) for over in base.__mro__}
    for base in value.__mro__:
        if base in elsewhere or not base.__module__.startswith("smelt"):
            continue
        for name, member in vars(base).items():
            explained = isinstance(member, property | classmethod | staticmethod) or callable(
                member
            )
            if name.startswith("_") or name in seen or inspect.isclass(member) or not explained:
                continue
            if inspect.getdoc(getattr(member, "__func__", member)):
                seen.add(name)
                yield name


def _said_of(name: Name) -> list[str]:
    """Returns what the code says of a constant: in a comment `#:`, or else in its class.

    Raises:
        LookupError: it says nothing.
    """
    for module, held in list(sys.modules.items()):
        ours = module == "smelt" or module.startswith("smelt.")
        if ours and vars(held).get(name.name) is name.value:
            found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name.name))
            if found:
                return found
    kind = type(name.value)
    if kind.__module__.startswith("smelt") and kind.__doc__:
        return inspect.cleandoc(kind.__doc__).split("\n")
    raise LookupError(f"{name.path} is public and nothing explains it; put a comment `#:` above it")


def _aliases(module: str) -> Iterator[str]:
    here = [name for name in names() if name.module == module and name.path in aliases()]
    if not here:
        return
    yield from _heading("Under another name", "-")
    for name in here:
        target = aliases()[name.path].path
        yield from [f".. py:data:: {name.name}", "", f"    Is :py:obj:`{target}`.", ""]


def _row(name: Name) -> tuple[str, str]:
    lines = _said_of(name) if name.is_constant else (inspect.getdoc(name.value) or "").split("\n")
    return f":py:obj:`{name.name} <{name.path}>`", _summary(lines, name.module)


def _summary(lines: list[str], module: str) -> str:
    """Returns the first sentence of a docstring, as reStructuredText."""
    paragraph = []
    for line in lines:
        if not line.strip():
            break
        paragraph.append(line.strip())
    return translated([" ".join(paragraph)], module)[0]


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from [".. list-table::", "    :widths: auto", "    :class: names", ""]
    for first, second in rows:
        yield from [f"    * - {first}", f"      - {second}"]
    yield ""


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _doc(module: str) -> list[str]:
    return inspect.cleandoc(importlib.import_module(module).__doc__ or "").split("\n")


def _escaped(text: str) -> str:
    return text.replace("*", "\\*")
