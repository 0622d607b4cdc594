"""From a function to a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from smelt.cli import main
from smelt.errors import ArgumentError
from smelt.limits import Within

pytest.importorskip("cyclopts")
from cyclopts import CycloptsError

from smelt.cli.program import OPTIONS, App, command, explained, group, program


def brew(
    kind: Literal["tea", "coffee"],
    cups: list[Path],
    /,
    *,
    strength: float = 0.5,
    water_limit: int | None = None,
    guests: list[str] | None = None,
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
        guests: who comes

    Returns:
        Nothing that is drinkable.
    """
    return len(cups)


def pour(
    litres: Annotated[float, Within(0, 2)],
    /,
    *,
    times: Annotated[int, Within(1)] | None = None,
    each: list[Annotated[int, Within(1)]] | None = None,
    hot: bool = False,
) -> int:
    """Pour.

    Args:
        litres: how much
        times: how often
        each: how much each time
        hot: whether it is hot
    """
    return 0


def clean(*, quickly: bool = False, water_limit: int = 3) -> int:
    """Clean up.

    Args:
        quickly: whether not to look into the corners.
        water_limit: how much water at most
    """
    return 0


def silent(speed: int) -> int:
    """Say nothing of the argument."""
    return speed


def kitchen(**commands: Any) -> App:
    app = App("kitchen", help="Hot drinks.", **OPTIONS)
    for name, given in commands.items():
        app.command(given if isinstance(given, App) else command(given), name=name)
    return app


def given(app: App, *arguments: str) -> dict[str, Any]:
    """Returns the arguments of a command line, by name."""
    _, bound, _ = app.parse_args(list(arguments), exit_on_error=False, print_error=False)
    return bound.arguments


def refusal(app: App, *arguments: str) -> str:
    with pytest.raises(CycloptsError) as caught:
        given(app, *arguments)
    return explained(app, caught.value)


def help_of(app: App, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    app([*arguments, "--help"], exit_on_error=False)
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_arguments_follow_the_signature() -> None:
    line = "brew tea a b --strength 2 --water-limit=7 --guests Ada Bob"
    assert given(kitchen(brew=brew), *line.split()) == {
        "kind": "tea",
        "cups": [Path("a"), Path("b")],
        "strength": 2.0,
        "water_limit": 7,
        "guests": ["Ada", "Bob"],
    }


def test_what_is_left_out_has_the_default_of_the_function() -> None:
    assert given(kitchen(brew=brew), "brew", "coffee", "a").keys() == {"kind", "cups"}
    assert given(kitchen(pour=pour), "pour", "2", "--hot")["hot"] is True


def test_help_comes_from_the_docstring_and_the_types(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(kitchen(brew=brew), capsys, "brew")
    for part in (
        "KIND CUPS",
        "Make something hot. It takes about five minutes.",
        "where to pour it; 100% of them are filled",
        "[choices: tea, coffee]",
        "how strong [default: 0.5]",
        "--water-limit INT how much water at most",
    ):
        assert part in text
    assert "drinkable" not in text


def test_an_argument_without_explanation_is_a_mistake_of_ours() -> None:
    with pytest.raises(ArgumentError, match="'speed'"):
        command(silent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("bake", 'Unknown command "bake". Available commands: brew, pour.'),
        ("brew milk a", '"milk"'),
        ("brew tea", "CUPS"),
        ("brew tea a --strength much", '--strength: unable to convert "much"'),
        ("brew tea a --hot", "--hot"),
        ("pour 3", "LITRES: 3 is out of range; it must be at least 0 and at most 2"),
        ("pour 1 --times 0", "--times: 0 is out of range; it must be at least 1"),
        ("pour 1 --times 1.5", "--times: '1.5' is not a number; it must be"),
        ("pour 1 --each 1 0", "--each: 0 is out of range"),
        ("pour 1 4", "4: unexpected argument; did you mean --times 4?"),
        ("pour 1 0", "0: unexpected argument\n"),
        ("pour 1 a b", "a b: unexpected arguments\n"),
    ],
)
def test_bad_arguments_are_named(arguments: str, message: str) -> None:
    text = refusal(kitchen(brew=brew, pour=pour), *arguments.split())
    assert message in text
    name = arguments.split()[0]
    called = "kitchen" if name == "bake" else f"kitchen {name}"
    assert text.startswith(f"{called}: ")
    assert text.endswith(f"\nsee {called} --help")


def test_commands_of_a_group_share_its_first_word(capsys: pytest.CaptureFixture[str]) -> None:
    app = kitchen(hot=group("hot", "All that is hot.", {"tea": brew, "water": pour}), brew=brew)
    assert given(app, "hot", "water", "1") == {"litres": 1.0}
    text = help_of(app, capsys, "hot")
    for part in ("All that is hot.", "tea Make something hot.", "water Pour."):
        assert part in text
    with pytest.raises(ArgumentError, match="hot: give one of the commands tea, water"):
        app(["hot"], exit_on_error=False)


def test_the_first_word_of_a_group_may_be_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    members = {"tea": brew, "water": pour}
    app = kitchen(hot=group("hot", "All that is hot.", members, alone=clean, title="Drinks"))
    assert given(app, "hot") == {}
    assert given(app, "hot", "--quickly", "--water-limit=2") == {"quickly": True, "water_limit": 2}
    assert given(app, "hot", "tea", "tea", "a", "--water-limit", "5")["water_limit"] == 5
    for line, message in (
        ("--quickly water 1", "water cannot be combined with the options before it"),
        ("--times 2", "--times is unknown; the options of tea come after its name: kitchen hot"),
        ("milk", "'milk' is unknown; there are tea, water"),
        ("water 1 --quickly", "--quickly does not go with water; write kitchen hot --quickly"),
    ):
        assert message in refusal(app, "hot", *line.split())
    text = help_of(app, capsys, "hot")
    for part in ("Clean up.", "Drinks", "tea Make something hot.", "not to look into the corners."):
        assert part in text


def test_what_an_option_has_swallowed_belongs_before_it() -> None:
    app = kitchen(brew=brew, pour=pour)
    assert "LITRES is missing\n" in refusal(app, "pour")
    message = "LITRES is missing; write it before the options\n"
    assert message in refusal(app, "pour", "--each", "1", "2")
    assert "--strength" in refusal(app, "brew", "tea", "a", "--strength")


def test_paths_are_those_that_the_user_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    app = kitchen(brew=brew)
    assert given(app, "brew", "tea", "~/cup")["cups"] == [Path("/home/ada/cup")]
    for wrong, message in (("", "an empty path"), ("~nobody-of-this-name/cup", "no home folder")):
        assert message in refusal(app, "brew", "tea", wrong)


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from smelt.cli import main; main(['--help']); "
        "print(*[name for name in sys.modules if name.startswith(('smelt.recipes', 'smelt.book'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Train a network on real data" in ran.stdout
    assert ran.stdout.splitlines()[-1] == ""


def test_each_command_says_in_the_list_what_its_own_help_says_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from smelt.cli.commands import COMMANDS

    for name, (_, does) in COMMANDS.items():
        assert main([name, "--help"]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert does.rstrip(".") in printed


def test_the_help_of_a_command_is_its_whole_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    for name, more in {"bench": "Before anything is timed", "predict": "dark on light"}.items():
        assert main([name, "--help"]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert more in printed
        assert "default: ()" not in printed
    assert main(["--help"]) == 0
    assert "Before anything is timed" not in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_knows_commands_and_options(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("shakespeare", "compare", "--batch-size", "batch-size"))
    if shell == "bash":
        (tmp_path / "smelt").write_text(script)
        subprocess.run(["bash", "-n", str(tmp_path / "smelt")], check=True)


def test_without_cyclopts_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("smelt.cli.find_spec", lambda name: None)
    assert main(["info"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("smelt: the command line needs the optional extra [cli]; install it")


def test_a_program_without_a_command_says_which_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "give one of the commands train, fit, predict" in capsys.readouterr().err
    app = program("x", "", "1.0", {})
    with pytest.raises(ArgumentError, match="give one of the commands"):
        app([], exit_on_error=False)
