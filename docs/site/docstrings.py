"""Docstrings as Smelt writes them, made into what Sphinx reads.

They are plain text with sections in Google's style (napoleon reads those), code between single
backticks, and lines that are set off by four spaces where they are code, a formula or a diagram.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from public_names import public_name_of

__all__ = ["restore", "rewrite", "translated"]

SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note|Warns):$")
NAMED = re.compile(r"(\s*)((?:\*{0,2}\w+(?:, )?)+):(?= |$)(.*)")  # `name: what it is`
CODE = re.compile(r"``([^`]+)``|`([^`]+)`")
MARKUP = re.compile(r"([\\*|])|(?<=\w)(_)(?!\w)")
BULLET = re.compile(r"[-*+] ")
_plain: dict[str, list[str]] = {}  # path of a property -> its text, on its way past napoleon


def rewrite(_: Any, kind: str, path: str, value: Any, options: Any, lines: list[str]) -> None:
    """Takes Sphinx's event `autodoc-process-docstring`: changes the lines in place."""
    module = path.rpartition(".")[0]
    if kind in ("method", "property", "attribute"):
        module = module.rpartition(".")[0]
    lines[:] = translated(lines, module, _arguments(value))
    if kind == "property" and not any(map(SECTION.match, lines)):
        _plain[path] = list(lines)


def restore(_: Any, kind: str, path: str, value: Any, options: Any, lines: list[str]) -> None:
    """Takes the same event after napoleon: gives a property without sections its text back.

    Napoleon takes what stands in front of its first colon for a type.
    """
    lines[:] = [*_plain.pop(path), ""] if path in _plain else lines


def translated(
    lines: list[str], module: str = "", arguments: frozenset[str] = frozenset()
) -> list[str]:
    """Returns lines of a docstring as reStructuredText.

    Args:
        lines: without the indentation of the code around.
        module: the public module of what is explained: there the names in the text are looked up.
        arguments: what the function calls its own arguments, which are no names to refer to.
    """

    def of_code(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        name = code.removesuffix("()")
        target = None if name in arguments else public_name_of(name, module)
        return f":py:obj:`{code} <{target}>`" if target else f"``{code}``"

    def inline(text: str) -> str:
        parts, end = [], 0
        for match in CODE.finditer(text):
            parts += [_escaped(text[end : match.start()]), of_code(match)]
            end = match.end()
            if text[end : end + 1].isalnum():
                parts.append("\\ ")  # a letter right behind code, as in "`x`s"
        return "".join([*parts, _escaped(text[end:])])

    return list(_paragraphs(lines, inline))


def _paragraphs(lines: list[str], inline: Any) -> Iterator[str]:
    section = ""
    in_list = False  # whether the paragraph began as one
    index = 0
    while index < len(lines):
        line = lines[index]
        if SECTION.match(line):
            section = line.rstrip(":")
        elif line and not line.startswith(" "):
            section = ""
        set_off = 4 * (1 if not section else 2)
        above = lines[index - 1] if index else ""
        if _starts_block(line, above, set_off, section):
            block = list(_block(lines, index, set_off))
            index += len(block)
            yield from _literal(block, 0 if not section else 4)
            continue
        if not above.strip():
            in_list = bool(BULLET.match(line.lstrip()))
        yield _text(line, section, inline, in_list)
        index += 1


def _starts_block(line: str, above: str, set_off: int, section: str) -> bool:
    if section in ("Example", "Examples"):
        return False  # doctests and what stands beside them: napoleon and docutils know those
    return line.startswith(" " * set_off) and not above.strip() and bool(line.strip())


def _block(lines: list[str], start: int, set_off: int) -> Iterator[str]:
    """Yields the lines that are set off, with empty ones between, but none behind."""
    waiting = 0
    for line in lines[start:]:
        if not line.strip():
            waiting += 1
        elif line.startswith(" " * set_off):
            yield from [""] * waiting
            waiting = 0
            yield line
        else:
            return


def _literal(block: list[str], indent: int) -> Iterator[str]:
    code = textwrap.dedent("\n".join(block)).split("\n")
    language = "python" if _is_python("\n".join(code)) else "text"
    margin = " " * indent
    yield f"{margin}.. code-block:: {language}"
    yield ""
    for line in code:
        yield f"{margin}    {line}".rstrip()
    yield ""


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return ">>>" in code
    return True


def _text(line: str, section: str, inline: Any, in_list: bool) -> str:
    if section in ("Example", "Examples"):
        return line
    if section and (match := NAMED.match(line)) and len(match[1]) == 4:
        return f"{match[1]}{match[2]}:{inline(match[3])}"
    indent = line[: len(line) - len(line.lstrip())]
    rest = inline(line[len(indent) :])
    if BULLET.match(rest) and not in_list:
        rest = "\\" + rest  # a formula that goes on, and no list
    return indent + rest


def _escaped(text: str) -> str:
    return MARKUP.sub(lambda match: "\\" + match[0], text)


def _arguments(value: Any) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return frozenset()  # not callable, or a class of C that does not say
