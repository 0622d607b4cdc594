"""smelt book, as a person uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import smelt.book.entry as book
from smelt.book.entry import Page, entry
from smelt.cli import main
from smelt.errors import FileError


@pytest.fixture
def small_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book of three entries: one is well, one claims too much, one has no data."""
    monkeypatch.setattr(book, "_ALL", {})
    monkeypatch.setattr(book, "_load", lambda chapter: None)
    entry("E5.1", "A perceptron")(perceptron)

    @entry("P5.1", "A problem")
    def problem(page: Page) -> None:
        """Claims too much."""
        page.claim("seed", 0, page.seed, page.seed == 0)

    @entry("E7.c", "Photographs")
    def photographs(page: Page) -> None:
        """Reads them."""
        if page.data is None:
            raise FileError("photographs: not there; use --data")
        page.claim("folder", "photographs", page.data.name, page.data.name == "photographs")


def perceptron(page: Page) -> None:
    """Steps."""
    page.print("AND", [0, 0, 0, 1])
    page.claim("outputs", 1, 1, True)


def test_the_whole_book_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"T1.1 +table +Energy, time.*", lines[0])
    chapters = [int(line[1]) for line in lines]
    assert chapters == sorted(chapters)


@pytest.mark.usefixtures("small_book")
def test_a_list_can_be_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "list", "--chapter", "5", "--kind", "problem"]) == 0
    assert capsys.readouterr().out == "P5.1  problem  A problem\n"
    assert main(["book", "list", "--chapter", "1"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("small_book")
def test_a_program_is_shown_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "show", "e5.1"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# E5.1  A perceptron\n#\n# Steps.\n")
    assert '    page.print("AND", [0, 0, 0, 1])\n' in text
    assert '"""' not in text


@pytest.mark.usefixtures("small_book")
def test_an_unknown_number_names_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["book", "run", "E5.1", "E5.3", "--out", str(tmp_path / "book")]) == 2
    assert re.search(r"smelt: the book has no E5.3; nearest: E5.1", capsys.readouterr().err)
    assert not (tmp_path / "book").exists()


@pytest.mark.usefixtures("small_book")
def test_a_chapter_runs_in_the_order_of_the_book(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["book", "run", "P5.1", "5", "E5.1", "--seed", "0", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.index("E5.1  A perceptron") < text.index("P5.1  A problem")
    assert "2 entries; 2 of 2 claims hold" in text


def test_a_chapter_behind_list_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["book", "list", "5"])
    assert "did you mean --chapter 5?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["book", "list", "problem"])
    assert "did you mean --kind problem?" in capsys.readouterr().err


@pytest.mark.usefixtures("small_book")
def test_one_number_prints_its_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["book", "run", "E5.1", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "E5.1  A perceptron\n\nAND [0, 0, 0, 1]\nholds: outputs: expected 1, got 1\n" in text
    assert f"page: {tmp_path / 'page.html'}\n" in text
    assert "A perceptron" in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.usefixtures("small_book")
def test_the_whole_book_runs_on_past_failures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["book", "run", "all", "--out", str(tmp_path), "--seed", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    states = [(line.split("  ")[1], line.split()[-2:]) for line in lines[:3]]
    assert [state for state, _ in states] == ["holds", "fails", "needs data"]
    assert lines[4].split() == ["entry", "claim", "expected", "got", "holds", "seconds"]
    assert re.match(r"P5.1 +seed +0 +1 +NO ", lines[6])
    assert re.match(r"E7.c +photographs: not there; use --data +needs data", lines[7])
    assert lines[-2].startswith("3 entries; 1 of 2 claims hold; fails: P5.1; needs data: E7.c;")
    page = (tmp_path / "book.html").read_text("utf-8")
    assert "photographs: not there; use --data" in page


@pytest.mark.usefixtures("small_book")
def test_data_and_seed_reach_the_entries(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    arguments = ["book", "run", "all", "--out", str(tmp_path), "--data", str(folder)]
    assert main(arguments) == 0


def test_figures_without_matplotlib_name_the_extra_before_anything_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("smelt.plot.style.find_spec", lambda name: None)
    assert main(["book", "run", "F2.4", "--out", str(tmp_path / "book")]) == 2
    assert "pip install 'smelt-learn[plot]'" in capsys.readouterr().err
    assert not (tmp_path / "book").exists()


@pytest.mark.usefixtures("small_book")
def test_ctrl_c_leaves_a_page_of_what_has_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    @entry("E6.1", "Interrupted")
    def interrupted(page: Page) -> None:
        """Is stopped."""
        raise KeyboardInterrupt

    assert main(["book", "run", "all", "--out", str(tmp_path)]) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err
    page = (tmp_path / "book.html").read_text("utf-8")
    assert "A perceptron" in page
    assert "Photographs" not in page
