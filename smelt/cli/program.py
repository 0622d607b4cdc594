"""The program as cyclopts parses it: commands are functions, options their parameters.

A parameter before `/` is a positional argument, one after `*` an option. Its type says which values
are allowed, its default whether it may be left out, and the docstring what it means. This module
adds only what cyclopts cannot know: the limits of numbers, and which path a `~` stands for.

A command's module is imported when the command is chosen, so `smelt --help` imports none of them.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from smelt.errors import ArgumentError
from smelt.limits import Within

__all__ = ["App", "Command", "command", "explained", "group", "program"]

Command = Callable[..., int]  # returns the exit code
OPTIONS: dict[str, Any] = {
    "help_format": "plaintext",
    "result_action": "return_value",
    "suppress_keyboard_interrupt": False,
    "default_parameter": Parameter(consume_multiple=True, negative=()),
}


def program(name: str, summary: str, version: str, commands: Mapping[str, tuple[str, str]]) -> App:
    """Returns a program whose commands are imported when they are chosen.

    Args:
        name: of the program.
        summary: what it does.
        version: of it.
        commands: the name of each -> where it is, as "module:function", and what it does.
    """
    app = App(name, help=summary, version=f"{name} {version}", **OPTIONS)
    for place, (called, (where, does)) in enumerate(commands.items()):
        app.command(where, name=called, help=does, sort_key=place)
    app.default(_lacking(name, summary, list(commands)))
    return app


def group(
    name: str,
    summary: str,
    commands: Mapping[str, Command],
    alone: Command | None = None,
    title: str = "Commands",
) -> App:
    """Returns the commands that share a first word, as in `smelt book run`.

    Args:
        name: the first word.
        summary: what they have in common.
        commands: second word -> command.
        alone: the command of the first word alone, which has options only.
        title: above the list of the second words.
    """
    app = App(name, help=summary if alone is None else None, group_commands=title, **OPTIONS)
    for place, (called, function) in enumerate(commands.items()):
        app.command(command(function), name=called, sort_key=place)
    app.default(_lacking(name, summary, list(commands)) if alone is None else command(alone))
    return app


def _lacking(name: str, summary: str, members: Sequence[str]) -> Command:
    """Returns what a word does for itself: it says which may follow."""

    def lacking() -> int:
        raise ArgumentError(
            f"{name}: give one of the commands {', '.join(members)}; --help explains them"
        )

    lacking.__doc__ = summary
    return lacking


def command(function: Command) -> Command:
    """Returns a command whose parameters tell cyclopts how to read them.

    Raises:
        ArgumentError: its docstring does not explain one of them.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    text = inspect.getdoc(function) or ""
    parameters = []
    for name, parameter in inspect.signature(function).parameters.items():
        if f"\n    {name}: " not in text:
            raise ArgumentError(f"{function.__name__}: its docstring does not explain {name!r}")
        parameters.append(parameter.replace(annotation=_read_by(hints[name])))

    @functools.wraps(function)
    def run(*given: Any, **options: Any) -> int:
        return function(*given, **options)

    typed: Any = run
    typed.__doc__ = _unwrapped(text)
    typed.__signature__ = inspect.Signature(parameters)
    typed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _unwrapped(text: str) -> str:
    """Returns a docstring whose paragraphs and explanations are one line each: the terminal breaks
    them where it ends.
    """
    body, heading, explanations = text.partition("Args:\n")
    paragraphs = [" ".join(part.split()) for part in body.split("\n\n")]
    joined = re.sub(r"\n {8}", " ", explanations)
    return "\n\n".join(part for part in paragraphs if part) + f"\n\n{heading}{joined}"


def _read_by(kind: Any) -> Any:
    """Returns a type with what reads it, where cyclopts does not know that."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        inner = next(each for each in typing.get_args(kind) if each is not types.NoneType)
        made = _read_by(inner)
        return kind if made is inner else Annotated[kind, typing.get_args(made)[1]]
    of = typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind
    if typing.get_origin(of) is Annotated:
        plain, limits = typing.get_args(of)
        read: Callable[[str], Any] = functools.partial(_number, limits, plain)
    elif of is Path:
        plain, read = Path, _path
    else:
        return kind
    whole = list[plain] if of is not kind else plain  # type: ignore[valid-type]

    def convert(_: Any, tokens: Any) -> Any:
        values = [read(token.value) for token in tokens]
        return values if of is not kind else values[0]

    return Annotated[whole, Parameter(converter=convert)]


def _number(limits: Within, kind: Callable[[str], float], text: str) -> float:
    try:
        return limits.read(kind, text)
    except ArgumentError as error:
        raise ValueError(error.message) from None


def _path(text: str) -> Path:
    """Returns the path that an argument says; the shell leaves the ~ of --out=~/runs as it is."""
    if not text:
        raise ValueError("an empty path; write . for the current folder")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{text!r} begins with a user who has no home folder; write ./{text} for a file of "
            "this name"
        ) from None


def explained(app: App, error: CycloptsError) -> str:
    """Returns a message that says what is wrong with the arguments, and what to write."""
    chain = list(error.command_chain or ())
    line = " ".join([app.name[0], *chain])
    message = " ".join(str(error).split())
    if isinstance(error, UnusedCliTokensError):
        message = _unused(app, chain, list(error.unused_tokens or ()))
    elif isinstance(error, CoercionError) and error.msg and error.argument is not None:
        keyword = None if error.token is None else error.token.keyword
        message = f"{keyword or _shown(error.argument.name)}: {error.msg}"
    elif isinstance(error, MissingArgumentError) and _is_by_place(error):
        # an option that takes several values takes what comes after it, too
        after = any(token.startswith("-") for token in error.root_input_tokens or ())
        message = f"{_missing(error)} is missing{'; write it before the options' * after}"
    elif isinstance(error, UnknownOptionError) and error.token.keyword:
        message = _unknown_option(app, chain, error.token.keyword) or message
    return f"{line}: {message}\nsee {line} --help"


def _missing(error: MissingArgumentError) -> str:
    return "" if error.argument is None else error.argument.name


def _is_by_place(error: MissingArgumentError) -> bool:
    """Whether what is missing is a positional argument."""
    return bool(_missing(error)) and not _missing(error).startswith("-")


def _shown(name: str) -> str:
    """Returns the name of an option as it is, that of a positional argument in capitals."""
    return name if name.startswith("-") else name.upper()


def _unused(app: App, chain: list[str], tokens: list[str]) -> str:
    """Returns what to say of arguments that nothing takes."""
    first, here = tokens[0], _below(app, chain)
    members = _members(here)
    if first in members:
        return f"{first} cannot be combined with the options before it; leave out one or the other"
    if members:
        return f"{first!r} is unknown; there are {', '.join(members)}"
    fits = "" if first.startswith("-") else _suiting(here, first)
    return f"{' '.join(tokens)}: unexpected argument{'s' * (len(tokens) != 1)}{fits}"


def _unknown_option(app: App, chain: list[str], option: str) -> str:
    """Returns what to say of an option that stands at the wrong place; nothing of any other."""
    called = app.name[0]
    if option in _flags(_below(app, chain[:-1])):
        written = " ".join([called, *chain[:-1], option])
        return f"{option} does not go with {chain[-1]}; write {written}"
    if members := _members(_below(app, chain)):
        written = " ".join([called, *chain, members[0], option])
        return f"{option} is unknown; the options of {members[0]} come after its name: {written}"
    return ""


def _members(app: App) -> list[str]:
    return [name for name in app.resolved_commands() if not name.startswith("-")]


def _below(app: App, chain: list[str]) -> App:
    for word in chain:
        app = app[word]
    return app


def _flags(app: App) -> dict[str, Any]:
    """Returns the options of an app's own command, and what reads each."""
    if app.default_command is None:
        return {}
    parameters = inspect.signature(app.default_command).parameters.values()
    return {
        f"--{each.name.replace('_', '-')}": each.annotation
        for each in parameters
        if each.kind is each.KEYWORD_ONLY
    }


def _suiting(app: App, text: str) -> str:
    """Returns a hint at the first option of a command that takes a text: a choice, or a number
    within limits.
    """
    for flag, kind in _flags(app).items():
        if _takes(kind, text):
            return f"; did you mean {flag} {text}?"
    return ""


def _takes(kind: Any, text: str) -> bool:
    inner = [each for each in typing.get_args(kind) if each is not types.NoneType]
    if typing.get_origin(kind) is typing.Literal:
        return text in inner
    if typing.get_origin(kind) is not Annotated:
        return any(_takes(each, text) for each in inner)
    plain, parameter = inner[0], inner[-1]
    if Path in (plain, *typing.get_args(plain)):
        return False
    token = types.SimpleNamespace(value=text)
    try:
        parameter.converter(plain, (token,))
    except ValueError:
        return False
    return True
