"""From a function to a command: arguments from its signature, help from its docstring.

A parameter without a default is a positional argument, one with a default an option. `Path | None`
and `int | None` mean an option that may be left out, `list[Path]` one argument or more, `Literal` a
choice, `Annotated[int, Within(1)]` a number in a range, `Annotated[..., PLACED]` a positional
argument that may be left out.
"""

from __future__ import annotations

import argparse
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from smelt.errors import ArgumentError

__all__ = ["PLACED", "Command", "Group", "Within", "make_parser"]

Command = Callable[..., int]  # returns the exit code
PLACED = "placed"  # marks a parameter with a default that is no option
_ARGUMENT = re.compile(r"^ {4}(\w+): (.*)$")


@dataclass(frozen=True, slots=True)
class Within:
    """The finite numbers that an option takes, both ends included."""

    low: float
    high: float = math.inf

    def read(self, kind: Callable[[str], float], text: str) -> float:
        """Returns the number that `text` says; argparse shows what is raised, with the option."""
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number; {self}") from None
        if not (self.low <= value <= self.high and value < math.inf):
            raise argparse.ArgumentTypeError(f"{text} is out of range; {self}")
        return value

    def __str__(self) -> str:
        end = "" if self.high == math.inf else f" and at most {self.high}"
        return f"it must be at least {self.low}{end}"


def _path(text: str) -> Path:
    """Returns the path that an argument says; the shell leaves the ~ of --out=~/runs as it is."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path; write . for the present folder")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} begins with a user who has no home folder; write ./{text} for a file of "
            "this name"
        ) from None


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that share a first word, as in `smelt book run`; the words are the keys."""

    name: str
    summary: str
    commands: Mapping[str, Command]


class _CommandParser(argparse.ArgumentParser):
    """The parser of one command: what it cannot place it reports with the command's own usage."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.flags: dict[str, dict[str, Any]] = {}  # how each option was added

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses all: what is left would be reported with the usage of the parser above."""
        given, unknown = super().parse_known_args(args, namespace)
        if unknown:
            fits = [flag for flag, options in self.flags.items() if _suits(options, unknown[0])]
            hint = f"; did you mean {fits[0]} {unknown[0]}?" if fits else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return given, unknown


def _suits(options: Mapping[str, Any], text: str) -> bool:
    """Returns whether a text is one of an option's choices, or a number within its limits."""
    if "choices" in options:
        return text in options["choices"]
    try:
        return isinstance(options["type"], partial) and options["type"](text) is not None
    except argparse.ArgumentTypeError:
        return False


def make_parser(
    program: str, description: str, version: str, commands: Sequence[Command | Group]
) -> argparse.ArgumentParser:
    """Returns the parser of a program with one subcommand for each function or group of them."""
    parser = argparse.ArgumentParser(program, description=description)
    parser.add_argument("--version", action="version", version=f"{program} {version}")
    shown = _subcommands(parser)
    for command in commands:
        if isinstance(command, Group):
            group = shown.add_parser(
                command.name, help=command.summary, description=command.summary
            )
            inner = _subcommands(group)
            for name, member in command.commands.items():
                _add(inner, name, member)
        else:
            _add(shown, command.__name__, command)
    return parser


def _subcommands(parser: argparse.ArgumentParser) -> Any:
    return parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_CommandParser
    )


def _add(subparsers: Any, name: str, command: Command) -> None:
    summary, body, explained = _read_docstring(command)
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary}\n\n{body}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    kinds = typing.get_type_hints(command, include_extras=True)
    for option, parameter in inspect.signature(command).parameters.items():
        if option not in explained:
            raise ArgumentError(f"{command.__name__}: its docstring does not explain {option!r}")
        _add_argument(parser, parameter, kinds[option], explained[option])


def _add_argument(
    parser: _CommandParser, parameter: inspect.Parameter, kind: Any, text: str
) -> None:
    options: dict[str, Any] = {"help": text.replace("%", "%%")}
    is_placed = typing.get_origin(kind) is Annotated and PLACED in typing.get_args(kind)
    if is_placed:
        kind = typing.get_args(kind)[0]
        options |= {"nargs": "?", "default": parameter.default}
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(option for option in typing.get_args(kind) if option is not types.NoneType)
    if typing.get_origin(kind) is Literal:
        options["choices"] = typing.get_args(kind)
    elif typing.get_origin(kind) is Annotated:
        kind, limits = typing.get_args(kind)
        options |= {"type": partial(limits.read, kind), "metavar": parameter.name.upper()}
    elif typing.get_origin(kind) is list:
        (kind,) = typing.get_args(kind)
        options |= {
            "type": _reader(kind),
            "nargs": "+",
            "metavar": parameter.name.upper().rstrip("S"),
        }
    else:
        options |= {"type": _reader(kind), "metavar": parameter.name.upper()}
    if parameter.default is parameter.empty or is_placed:
        parser.add_argument(parameter.name, **options)
        return
    if parameter.default is not None:
        options["help"] += f" (default: {parameter.default})"
    flag = "--" + parameter.name.replace("_", "-")
    parser.flags[flag] = options
    parser.add_argument(flag, default=parameter.default, dest=parameter.name, **options)


def _reader(kind: Any) -> Callable[[str], Any]:
    return _path if kind is Path else kind


def _read_docstring(command: Command) -> tuple[str, str, dict[str, str]]:
    """Returns the first sentence, what follows it, and name -> explanation from "Args:"."""
    text = inspect.getdoc(command) or ""
    summary, _, details = text.partition("\n\n")
    body, _, arguments = details.partition("Args:\n")
    explained: dict[str, str] = {}
    name = ""
    for line in arguments.splitlines():
        if match := _ARGUMENT.match(line):
            name, explained[match[1]] = match[1], match[2]
        elif line.startswith("        ") and name:
            explained[name] += " " + line.strip()
        else:
            name = ""
    return " ".join(summary.split()), body.strip(), explained
