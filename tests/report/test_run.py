"""What is read of a run folder, whole, damaged or hostile."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from smelt.errors import FileError
from smelt.report.run import read_run
from tests.report.runs import classifier, rows, written

pytest.importorskip("safetensors")


def test_a_whole_run_has_no_problem(tmp_path: Path) -> None:
    run = read_run(classifier(tmp_path / "run"))
    assert (run.problems, run.missing) == ([], [])
    assert run.config == {"lr": 0.01, "note": "by hand"}
    assert run.recipe == "Sequential"
    assert [row["epoch"] for row in run.rows] == [1, 2, 3]
    assert run.summary["model"]["parameters"] == 4 * 8 + 8 + 8 * 2 + 2
    assert run.summary["data"]["training"]["samples"] == 90
    assert run.predictions is not None
    assert run.seconds == pytest.approx(sum(row["seconds"] for row in run.times))


def test_what_is_no_run_is_one_error(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "absent", "there is no such folder"),
        (tmp_path, "no config.json and no metrics.jsonl"),
    ):
        with pytest.raises(FileError, match=reason):
            read_run(path)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"config_json": "{"}, "config.json is damaged"),
        ({"config_json": "[1]"}, "config.json is damaged (it holds no values by name)"),
        ({"config_json": b"\xff\xfe{}"}, "config.json is damaged"),
        ({"config_json": '{"a": 1, "a": 2}'}, "'a' occurs twice"),
        ({"config_json": '{"a":' * 60 + "1" + "}" * 60}, "nested too deeply"),
        ({"config_json": "[" * 100_000}, "config.json is damaged"),
        ({"metrics_jsonl": rows(2) + '{"epoch": 3, "lo'}, "The last line of metrics.jsonl is not"),
        ({"metrics_jsonl": rows(2) + "garbage\n" + rows(1)}, "Line 3 of metrics.jsonl is damaged"),
        ({"metrics_jsonl": rows(2) + '{"epoch": "x"}\n'}, "Line 3 of metrics.jsonl is damaged"),
        ({"summary_json": "\0\0"}, "summary.json is damaged"),
        ({"times_jsonl": "{}\n"}, "Line 1 of times.jsonl is damaged"),
        ({"result_json": "7"}, "result.json is damaged"),
        ({"predictions_safetensors": "no tensors"}, "predictions.safetensors: "),
    ],
)
def test_what_is_damaged_is_named_and_the_rest_is_read(
    files: dict[str, str | bytes], problem: str, tmp_path: Path
) -> None:
    whole = {"config_json": '{"lr": 0.5}', "metrics_jsonl": rows(2)}
    run = read_run(written(tmp_path / "run", **{**whole, **files}))
    assert [each for each in run.problems if problem in each], run.problems
    assert len(run.problems) == 1
    assert run.config == {"lr": 0.5} or "config_json" in files
    assert len(run.rows) == 2


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    run = read_run(written(tmp_path / "run", metrics_jsonl=""))
    said = " ".join(run.missing)
    for part in ("no config.json", "No epoch is finished", "no predictions.safetensors"):
        assert part in said
    assert run.problems == []
    assert "no metrics.jsonl" in " ".join(read_run(written(tmp_path, config_json="{}")).missing)


def test_what_was_not_finite_is_nan(tmp_path: Path) -> None:
    figures = ("null", "Infinity", "1e999")
    lines = "".join(f'{{"epoch": 1, "loss": {each}}}\n' for each in figures)
    run = read_run(written(tmp_path / "run", metrics_jsonl=lines))
    assert all(math.isnan(row["loss"]) for row in run.rows)


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_no_link_and_no_pipe_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"password": "1234"}')
    run = written(tmp_path / "run", metrics_jsonl=rows(1))
    (run / "config.json").symlink_to(secret)
    (run / "predictions.safetensors").symlink_to(secret)
    os.mkfifo(run / "result.json")
    (run / "summary.json").mkdir()
    found = read_run(run)
    assert "1234" not in json.dumps(found.config)
    assert sorted(each.partition(" ")[0] for each in found.problems) == [
        "config.json", "predictions.safetensors", "result.json", "summary.json",
    ]  # fmt: skip


def test_a_file_that_is_far_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smelt.report.run.LARGEST", 1 << 20)
    run = written(tmp_path / "run", metrics_jsonl=rows(1), config_json=" " * (2 << 20))
    assert "longer than 1 MB" in read_run(run).problems[0]
