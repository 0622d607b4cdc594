"""From a function to a command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated, Literal

import pytest

from smelt.cli.parser import Group, make_parser, parse
from smelt.errors import ArgumentError
from smelt.limits import Within


def brew(
    kind: Literal["tea", "coffee"],
    cups: list[Path],
    strength: float = 0.5,
    water_limit: int | None = None,
) -> int:
    """Make something hot.

    It takes about five
    minutes.

    Args:
        kind: what to make
        cups: where to pour it; 100% of them
            are filled
        strength: how strong
        water_limit: how much water at most

    Returns:
        Nothing that is drinkable.
    """
    return len(cups)


def silent(speed: int) -> int:
    """Say nothing of the argument."""
    return speed


def parser() -> argparse.ArgumentParser:
    return make_parser("kitchen", "Hot drinks.", "1.2", [brew])


def test_arguments_follow_the_signature() -> None:
    given = vars(
        parser().parse_args(["brew", "tea", "a", "b", "--strength", "2", "--water-limit", "7"])
    )
    assert given.pop("command") is brew
    assert given == {
        "kind": "tea",
        "cups": [Path("a"), Path("b")],
        "strength": 2.0,
        "water_limit": 7,
    }


def test_options_have_the_defaults_of_the_function() -> None:
    given = parser().parse_args(["brew", "coffee", "a"])
    assert (given.strength, given.water_limit) == (0.5, None)


def test_help_comes_from_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["brew", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for part in (
        "{tea,coffee} CUP [CUP ...]",
        "Make something hot. It takes about five minutes.",
        "where to pour it; 100% of them are filled",
        "how strong (default: 0.5)",
        "--water-limit WATER_LIMIT how much water at most",
    ):
        assert part in text
    assert "drinkable" not in text


def test_the_program_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert "brew Make something hot." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "COMMAND"),
        ("bake", "invalid choice: 'bake'"),
        ("brew milk a", "invalid choice: 'milk'"),
        ("brew tea", "CUP"),
        ("brew tea a --strength much", "invalid float value: 'much'"),
    ],
)
def test_bad_arguments_are_named(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments.split())
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_an_argument_without_explanation_is_a_mistake_of_ours() -> None:
    with pytest.raises(ArgumentError, match="'speed'"):
        make_parser("x", "", "", [silent])


def pour(
    litres: Annotated[float, Within(0, 2)], times: Annotated[int, Within(1)] | None = None
) -> int:
    """Pour.

    Args:
        litres: how much
        times: how often
    """
    return 0


def test_a_range_is_checked_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser("kitchen", "Hot drinks.", "1.2", [pour])
    given = parser.parse_args(["pour", "2.0", "--times", "3"])
    assert (given.litres, given.times) == (2.0, 3)
    for arguments, message in (
        (["3"], "LITRES: 3 is out of range; it must be at least 0 and at most 2"),
        (["1", "--times", "0"], "argument --times: 0 is out of range; it must be at least 1"),
        (["1", "--times", "1.5"], "argument --times: '1.5' is no number; it must be"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(["pour", *arguments])
        assert message in capsys.readouterr().err


def test_what_belongs_behind_an_option_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser("kitchen", "Hot drinks.", "1.2", [pour, brew])
    for arguments, message in (
        (["pour", "1", "4"], "unrecognized arguments: 4; did you mean --times 4?"),
        (["pour", "1", "0"], "unrecognized arguments: 0\n"),
        (["brew", "tea", "a", "--hot", "b"], "unrecognized arguments: --hot b\n"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
        text = capsys.readouterr().err
        assert message in text
        assert text.startswith(f"usage: kitchen {arguments[0]} ")


def test_commands_of_a_group_share_its_first_word(capsys: pytest.CaptureFixture[str]) -> None:
    group = Group("hot", "All that is hot.", {"tea": brew, "water": pour})
    parser = make_parser("kitchen", "Hot drinks.", "1.2", [group, brew])
    assert parser.parse_args(["hot", "water", "1"]).command is pour
    assert parser.parse_args(["brew", "tea", "a"]).command is brew
    with pytest.raises(SystemExit):
        parser.parse_args(["hot", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "All that is hot." in text
    assert "tea Make something hot. water Pour." in text
    with pytest.raises(SystemExit):
        parser.parse_args(["hot"])
    assert "COMMAND" in capsys.readouterr().err


def clean(quickly: bool = False, water_limit: int = 3) -> int:
    """Clean up.

    Args:
        quickly: whether not to look into the corners.
        water_limit: how much water at most
    """
    return 0


def test_the_first_word_of_a_group_may_be_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    group = Group(
        "hot", "All that is hot.", {"tea": brew, "water": pour}, alone=clean, word="drink"
    )
    parser = make_parser("kitchen", "Hot drinks.", "1.2", [group])
    assert parse(parser, ["hot"]) == (clean, {})
    assert parse(parser, ["hot", "--quickly"]) == (clean, {"quickly": True})
    assert parse(parser, ["hot", "--water=2"]) == (clean, {"water_limit": 2})
    command, given = parse(parser, ["hot", "tea", "tea", "a", "--water-limit", "5"])
    assert (command, given["water_limit"]) == (brew, 5)
    for arguments, message in (
        (["--quickly", "water", "1"], "leave out pour, or --quickly before it"),
        (["--times", "2"], "--times; an option of a drink stands behind its name: kitchen hot DRI"),
        (["milk"], "argument DRINK: invalid choice: 'milk'"),
    ):
        with pytest.raises(SystemExit):
            parse(parser, ["hot", *arguments])
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(parser, ["hot", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Clean up." in text
    assert "drinks: DRINK tea Make something hot." in text
    assert "whether not to look into the corners --" in text


def test_paths_are_those_that_the_user_means(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    parser = make_parser("cafe", "A cafe.", "1", [brew])
    assert parser.parse_args(["brew", "tea", "~/cup"]).cups == [Path("/home/ada/cup")]
    for wrong, message in (("", "an empty path"), ("~nobody-of-this-name/cup", "no home folder")):
        with pytest.raises(SystemExit):
            parser.parse_args(["brew", "tea", wrong])
        assert message in capsys.readouterr().err
