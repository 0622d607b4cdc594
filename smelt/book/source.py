"""The program text of an entry: its function, and whatever of its file that function needs."""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import keyword
import tokenize
from collections.abc import Iterator, Sequence

from smelt.book.entry import Entry

__all__ = ["classified", "program"]

CLASSES = {
    tokenize.COMMENT: "comment",
    tokenize.STRING: "string",
    tokenize.NUMBER: "number",
}
BUILTINS = frozenset(dir(builtins))


def program(entry: Entry) -> str:
    """Returns the program of an entry, complete and in the file's order: imports, constants,
    helpers, function.

    The docstring of the function is left out: it is the entry's text.
    """
    text = inspect.getsource(inspect.getmodule(entry.function) or entry.function)
    tree = ast.parse(text)
    wanted = _needed(tree.body, entry.function.__name__)
    lines = text.splitlines()
    docstring = _docstring_lines(tree, entry.function.__name__)
    parts: list[str] = []
    end = 0
    for statement in tree.body:
        if id(statement) not in wanted:
            continue
        start = _first_line(statement, lines)
        gap = [""] * min(_blank_lines(lines, start), 2) if parts and end < start else []
        shown = range(start, statement.end_lineno or start)
        parts += gap + [lines[number] for number in shown if number not in docstring]
        end = statement.end_lineno or start
    return "\n".join(parts) + "\n"


def _needed(body: Sequence[ast.stmt], name: str) -> set[int]:
    """Returns the statements that define `name` and what it uses, directly or through others."""
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in body:
        for defined in _defines(statement):
            definitions.setdefault(defined, []).append(statement)
    wanted, open_names = set[int](), [name]
    while open_names:
        for statement in definitions.pop(open_names.pop(), ()):
            wanted.add(id(statement))
            open_names += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return wanted


def _defines(statement: ast.stmt) -> Iterator[str]:
    """Yields the names that a statement of a file gives a meaning."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            yield (alias.asname or alias.name).partition(".")[0]
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _first_line(statement: ast.stmt, lines: Sequence[str]) -> int:
    """Returns where a statement begins, with its decorators and the comment above it."""
    decorators = getattr(statement, "decorator_list", ())
    start = min([statement.lineno, *(one.lineno for one in decorators)]) - 1
    while start and lines[start - 1].startswith("#"):
        start -= 1
    return start


def _blank_lines(lines: Sequence[str], start: int) -> int:
    count = 0
    while start - count > 0 and not lines[start - count - 1].strip():
        count += 1
    return count


def _docstring_lines(tree: ast.Module, name: str) -> range:
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            first = statement.body[0]
            if ast.get_docstring(statement) is not None and len(statement.body) > 1:
                return range(first.lineno - 1, first.end_lineno or first.lineno)
    return range(0)


def classified(text: str) -> Iterator[tuple[str, str]]:
    """Yields the pieces of a program with what each is: "keyword", "string", "comment", "number",
    "builtin", or "" for the rest. Together they are the text.
    """
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    place = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if not (kind := _class_of(token)):
            continue
        start = starts[token.start[0] - 1] + token.start[1]
        end = starts[token.end[0] - 1] + token.end[1]
        yield "", text[place:start]
        yield kind, text[start:end]
        place = end
    yield "", text[place:]


def _class_of(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.NAME:
        if keyword.iskeyword(token.string):
            return "keyword"
        return "builtin" if token.string in BUILTINS else ""
    return CLASSES.get(token.type, "")
