"""smelt report, compare and runs, as a person uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from smelt.cli import main
from tests.report.runs import classifier, rows, written

for library in ("cyclopts", "jinja2", "matplotlib", "safetensors"):
    pytest.importorskip(library)


def test_a_report_is_written_into_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = classifier(tmp_path / "run")
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"page: {run / 'report.html'}\n"
    assert "<!DOCTYPE html>" in (run / "report.html").read_text()
    assert main(["report", str(run), "--out", str(tmp_path / "x.html")]) == 0
    assert (tmp_path / "x.html").stat().st_size > 10_000


def test_damage_is_printed_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = written(tmp_path / "run", config_json="{", metrics_jsonl=rows(1))
    assert main(["report", str(run)]) == 0
    assert "damaged: config.json is damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("report absent", "is not the folder of a run"),
        ("report run --out page.pdf", "ends with .html"),
        ("report run --out absent/page.html", "there is no folder"),
        ("compare run", "at least two run folders"),
        ("compare run absent", "is not the folder of a run"),
        ("runs empty", "there is no run in it"),
    ],
)
def test_what_cannot_be_reported_is_one_error(
    line: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "run", config_json="{}", metrics_jsonl=rows(1))
    (tmp_path / "empty").mkdir()
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("smelt: ")
    assert message in said
    assert "Traceback" not in said


def test_compare_and_runs_print_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b\x1b[2J"):
        written(tmp_path / "runs" / name, config_json='{"lr": 1}', metrics_jsonl=rows(2))
    assert main(["compare", "runs/a", "runs/b\x1b[2J"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split()[:2] == ["run", "what"]
    assert printed.endswith("page: compare.html\n")
    assert "\x1b" not in printed
    assert main(["runs"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
