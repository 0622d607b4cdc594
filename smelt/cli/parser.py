"""From a function to a command: arguments from its signature, help from its docstring.

A parameter without a default is a positional argument, one with a default an option. `Path | None`
and `int | None` mean an option that may be left out, `list[Path]` one argument or more (with the
default () any number, and no option), `Literal` a choice, `bool` a flag that stands for True,
`Annotated[int, Within(1)]` a number in a range.
"""

from __future__ import annotations

import argparse
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from smelt.errors import ArgumentError
from smelt.limits import Within

__all__ = ["Command", "Group", "make_parser", "parse"]

Command = Callable[..., int]  # returns the exit code
ALONE = "alone:"  # before the name of an option of a group's first word
_ARGUMENT = re.compile(r"^ {4}(\w+): (.*)$")


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
    """Commands that share a first word, as in `smelt book run`; the words are the keys.

    Attributes:
        name: the first word.
        summary: what the commands have in common.
        commands: second word -> command.
        alone: the command of the first word alone, which has options only.
        word: what one of the commands is called.
    """

    name: str
    summary: str
    commands: Mapping[str, Command]
    alone: Command | None = None
    word: str = "command"


class _CommandParser(argparse.ArgumentParser):
    """The parser of one command: what it cannot place it reports with the command's own usage."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.flags: dict[str, dict[str, Any]] = {}  # how each option was added
        self.above: _CommandParser | None = None  # of the first word, where that has options
        self.word, self.members = (
            "",
            tuple[str, ...](),
        )  # of a first word that has options of its own

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses all: what is left would be reported with the usage of the parser above."""
        self._check_first_word(args or ())
        given, unknown = super().parse_known_args(args, namespace)
        if unknown:
            fits = [flag for flag, options in self.flags.items() if _suits(options, unknown[0])]
            hint = f"; did you mean {fits[0]} {unknown[0]}?" if fits else ""
            if self.above is not None and unknown[0].partition("=")[0] in self.above.flags:
                hint = f"; write {self.above.prog} {' '.join(unknown)}"
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return given, unknown

    def _check_first_word(self, args: Sequence[str]) -> None:
        """Refuses an option of a member that stands before it, or without it: argparse would take
        its value for a member.
        """
        known = ("--help", *self.flags)
        for text in args if self.word else ():
            flag = text.partition("=")[0]
            if text in self.members:
                return
            if flag.startswith("--") and not any(each.startswith(flag) for each in known):
                self.error(
                    f"unrecognized argument {flag}; an option of a {self.word} stands behind its "
                    f"name: {self.prog} {self.word.upper()} {flag}"
                )


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
    shown = _subcommands(parser, "command", required=True)
    for command in commands:
        if isinstance(command, Group):
            _add_group(shown, command)
        else:
            _add(shown, command.__name__, command)
    return parser


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[Command, dict[str, Any]]:
    """Returns the command that was chosen, and its arguments by name.

    What is wrong with the arguments is printed, and SystemExit raised.
    """
    given = vars(parser.parse_args(arguments))
    command, alone = given.pop("command"), given.pop("alone", None)
    of_alone = {name: given.pop(name) for name in list(given) if name.startswith(ALONE)}
    of_alone = {name.removeprefix(ALONE): value for name, value in of_alone.items()}
    if command is alone:
        return command, of_alone
    if of_alone:
        flags = " and ".join(map(_flag, of_alone))
        parser.error(f"leave out {command.__name__}, or {flags} before it: they do not go together")
    return command, given


def _subcommands(parser: argparse.ArgumentParser, word: str, required: bool) -> Any:
    return parser.add_subparsers(
        title=f"{word}s", metavar=word.upper(), required=required, parser_class=_CommandParser
    )


def _add_group(subparsers: Any, group: Group) -> None:
    parser: Any
    if group.alone is None:
        parser = subparsers.add_parser(group.name, help=group.summary, description=group.summary)
    else:
        parser = _add(subparsers, group.name, group.alone, ALONE)
        parser.set_defaults(alone=group.alone)
        parser.word, parser.members = group.word, tuple(group.commands)
    inner = _subcommands(parser, group.word, required=group.alone is None)
    for name, member in group.commands.items():
        _add(inner, name, member).above = None if group.alone is None else parser


def _add(subparsers: Any, name: str, command: Command, prefix: str = "") -> _CommandParser:
    """Adds the parser of a command, whose options are known by a prefix and their names."""
    summary, body, explained = _read_docstring(command)
    parser: _CommandParser = subparsers.add_parser(
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
        _add_argument(parser, parameter, kinds[option], explained[option], prefix)
    return parser


def _add_argument(
    parser: _CommandParser, parameter: inspect.Parameter, kind: Any, text: str, prefix: str
) -> None:
    options: dict[str, Any] = {"help": text.replace("%", "%%")}
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(option for option in typing.get_args(kind) if option is not types.NoneType)
    if typing.get_origin(kind) is Literal:
        options["choices"] = typing.get_args(kind)
    elif typing.get_origin(kind) is Annotated:
        kind, limits = typing.get_args(kind)
        options |= {"type": partial(_read, limits, kind), "metavar": parameter.name.upper()}
    elif typing.get_origin(kind) is list:
        (kind,) = typing.get_args(kind)
        options |= {
            "type": _reader(kind),
            "nargs": "*" if parameter.default == () else "+",
            "metavar": parameter.name.upper().rstrip("S"),
        }
    else:
        options |= {"type": _reader(kind), "metavar": parameter.name.upper()}
    if kind is bool:
        options = {"help": options["help"], "action": "store_true"}
    if parameter.default in (parameter.empty, ()):
        parser.add_argument(parameter.name, **options)
        return
    if parameter.default is not None and kind is not bool:
        options["help"] += f" (default: {parameter.default})"
    flag, default = _flag(parameter.name), argparse.SUPPRESS if prefix else parameter.default
    parser.flags[flag] = options
    parser.add_argument(flag, default=default, dest=f"{prefix}{parameter.name}", **options)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _reader(kind: Any) -> Callable[[str], Any]:
    return _path if kind is Path else kind


def _read(limits: Within, kind: Callable[[str], float], text: str) -> float:
    """Returns the number that a text says; argparse shows what is raised, with the option."""
    try:
        return limits.read(kind, text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(error.message) from None


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
    texts = {name: text.removesuffix(".") for name, text in explained.items()}
    return " ".join(summary.split()), body.strip(), texts
