"""The page of a run, the page of several, and the list of a folder's."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt import train
from smelt.errors import ArgumentError, FileError, MissingExtra
from smelt.report import comparison_page, list_runs, read_run, report_page
from tests.report.runs import HOSTILE, classifier, rows, written

for library in ("jinja2", "matplotlib", "safetensors"):
    pytest.importorskip(library)
EMPTY = {"img", "meta", "br"}


class Reader(HTMLParser):
    """Checks that tags are closed in order; keeps the text, the tags, and what is referred to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.references: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.references += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


def read(page: str) -> Reader:
    """Returns what a page says, having seen that it runs and fetches nothing."""
    found = Reader(page)
    assert not found.tags & {"script", "iframe", "object", "embed", "link", "form"}
    assert not [name for name in found.attributes if name.startswith("on")]
    assert all(each.startswith("data:image/") for each in found.references)
    assert "default-src 'none'" in page
    return found


def test_the_report_of_a_classifier_shows_all_of_it(tmp_path: Path) -> None:
    page = read(report_page(read_run(classifier(tmp_path / "run"))))
    assert page.headings == [
        "Results", "Curves", "Answers", "Where the time went", "Configuration", "Data",
        "Model", "Files",
    ]  # fmt: skip
    for part in (
        "3 finished epochs", "by hand", "90", "Sequential", "cross_entropy", "Adam",
        "held-out accuracy, last epoch", "calibration error", "compiling the step",
    ):  # fmt: skip
        assert part in page.text
    assert len(page.references) >= 5  # loss, accuracy, f1, confusion, calibration


def test_each_metric_has_its_curve(tmp_path: Path) -> None:
    page = report_page(read_run(classifier(tmp_path / "run")))
    for name in ("loss", "held-out accuracy", "held-out f1"):
        assert f'alt="{name} by epoch"' in page


def test_wrong_examples_are_the_worst_first_with_their_names(tmp_path: Path) -> None:
    run = written(tmp_path / "run", config_json="{}", metrics_jsonl=rows(1))
    chances = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.99, 0.01]]
    texts = ["one", "two", "three", "four"]
    train.save_predictions(run, [0, 0, 1, 1], chances, classes=["cat", "dog"], texts=texts)
    page = read(report_page(read_run(run)))
    assert page.text.index("four") < page.text.index("two")
    assert "three" not in page.text
    assert "Of 4 test samples; right 50.00%" in page.text


def test_images_are_shown_and_other_inputs_are_numbers(tmp_path: Path) -> None:
    for shape, images in (((8, 8), 2), ((1, 8, 8), 2), ((3, 8, 8), 2), ((8, 8, 3), 2), ((3,), 0)):
        run = written(tmp_path / str(shape), config_json="{}")
        inputs = np.random.default_rng(0).normal(size=(2, *shape))
        train.save_predictions(run, [0, 1], [[0.1, 0.9], [0.9, 0.1]], inputs=inputs)
        found = [each for each in read(report_page(read_run(run))).references if "png" in each]
        assert len(found) == images


def test_a_regression_has_errors_in_the_place_of_classes(tmp_path: Path) -> None:
    run = written(tmp_path / "run", config_json="{}", metrics_jsonl=rows(2))
    train.save_predictions(run, [1.0, 2.0, 3.0], [1.5, 2.0, np.nan])
    page = read(report_page(read_run(run)))
    for part in ("root mean squared error 0.3536", "not finite 1 of 3", "furthest off"):
        assert part in page.text
    assert "calibration" not in page.text


def test_many_classes_are_a_list_of_mistakes(tmp_path: Path) -> None:
    run = written(tmp_path / "run", config_json="{}")
    chances = np.eye(40)[np.r_[1:40, 0]]
    train.save_predictions(run, np.arange(40), chances, classes=[f"word {n}" for n in range(40)])
    page = read(report_page(read_run(run)))
    assert "What is most often mixed up" in page.text
    assert "word 7" in page.text


@pytest.mark.parametrize("name", ["predictions.safetensors", "summary.json", "times.jsonl"])
def test_a_run_without_a_file_still_has_its_page(name: str, tmp_path: Path) -> None:
    run = classifier(tmp_path / "run")
    (run / name).unlink()
    page = read(report_page(read_run(run)))
    assert "Curves" in page.headings
    assert ("no predictions.safetensors" in page.text) == name.startswith("predictions")


def test_nothing_in_a_run_becomes_html(tmp_path: Path) -> None:
    run = written(
        tmp_path / "<b>run<img src=x>",
        config_json=json.dumps({HOSTILE: HOSTILE, "recipe": HOSTILE, "a": {"b": {HOSTILE: [1]}}}),
        metrics_jsonl=rows(2, **{f"held_out_{HOSTILE}": 0.5, HOSTILE: 1.0}),
        summary_json=json.dumps(
            {
                "started": HOSTILE, "smelt": HOSTILE, "platform": HOSTILE, "loss": HOSTILE,
                "model": {"name": HOSTILE, "parameters": HOSTILE, "layers": [{"name": HOSTILE}, 3]},
                "data": {HOSTILE: {"samples": HOSTILE, "arrays": [{"shape": [HOSTILE]}, None]}},
            }
        ),
        result_json=json.dumps({HOSTILE: HOSTILE, "text": f"{HOSTILE}\nmore"}),
        report_json=json.dumps(
            {
                "target": HOSTILE, "task": HOSTILE, "scores": {HOSTILE: {HOSTILE: 1}},
                "verdicts": [HOSTILE], "columns": [{"a": HOSTILE}],
                "importance": [{"name": HOSTILE, "mean": 1.0}, {"name": 1, "mean": "x"}],
            }
        ),
    )  # fmt: skip
    (run / "<svg onload=alert(1)>").write_text("")
    chances = [[0.1, 0.9], [0.9, 0.1]]
    train.save_predictions(
        run,
        [0, 1],
        chances,
        classes=[HOSTILE, "$\\frac$ \x1b[2J"],
        texts=[HOSTILE] * 2,
        source=HOSTILE,
    )
    page = read(report_page(read_run(run)))
    assert page.text.count(HOSTILE) > 15
    other = written(tmp_path / "other", config_json="{}", metrics_jsonl=rows(1))
    read(comparison_page([read_run(run), read_run(other)]))


def test_a_damaged_run_has_a_page_that_says_so(tmp_path: Path) -> None:
    run = written(tmp_path / "run", config_json="{", metrics_jsonl=rows(2) + "half a li")
    page = read(report_page(read_run(run)))
    assert "Something in this folder is damaged" in page.text
    assert "config.json is damaged" in page.text
    assert "Curves" in page.headings


def test_without_jinja2_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_run(written(tmp_path / "run", config_json="{}"))
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    monkeypatch.setattr("smelt.pages._environment", undecorated())
    with pytest.raises(MissingExtra, match=r"smelt-learn\[report\]"):
        report_page(run)


def undecorated() -> Any:
    """Returns what makes the environment of templates, without its memory."""
    from smelt import pages

    return pages._environment.__wrapped__


def test_runs_are_compared_by_what_differs(tmp_path: Path) -> None:
    a = written(tmp_path / "a", config_json='{"lr": 0.1, "seed": 3}', metrics_jsonl=rows(4))
    b = written(tmp_path / "b", config_json='{"lr": 0.2, "seed": 3}', metrics_jsonl=rows(2))
    (a / "result.json").write_text('{"test_accuracy": 0.75, "seconds": 1}')
    page = read(comparison_page([read_run(a), read_run(b)]))
    for part in ("lr", "0.1", "0.2", "best held-out loss", "0.75"):
        assert part in page.text
    assert "seed" not in page.text
    assert len(page.references) == 2
    with pytest.raises(ArgumentError, match="at least two"):
        comparison_page([read_run(a)])


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [
        read_run(written(tmp_path / place / "run", config_json="{}", metrics_jsonl=rows(1)))
        for place in ("x", "y")
    ]
    page = read(comparison_page([*runs, runs[0]]))
    assert str(tmp_path / "x" / "run") + " (1)" in page.text
    assert str(tmp_path / "y" / "run") in page.text


def test_a_folder_lists_its_runs(tmp_path: Path) -> None:
    written(tmp_path / "good", config_json='{"recipe": "digits"}', metrics_jsonl=rows(3))
    written(tmp_path / "bad", config_json="{", metrics_jsonl=rows(1))
    (tmp_path / "nothing").mkdir()
    table = list_runs(tmp_path)
    found = {Path(row[0]).name: row for row in table.rows}
    assert set(found) == {"good", "bad"}
    assert found["good"][1:6] == (
        "digits",
        "3",
        "1.5 s",
        "held-out loss 0.6667 (epoch 3)",
        "0.6667",
    )
    assert (found["good"][-1], found["bad"][-1]) == ("", "damaged")
    assert [Path(row[0]).name for row in list_runs(tmp_path / "good").rows] == ["good"]
    for wrong, message in (("nothing", "no run in it"), ("absent", "no such folder")):
        with pytest.raises(FileError, match=message):
            list_runs(tmp_path / wrong)


def test_dark_mode_phone_width_and_print_are_in_the_page(tmp_path: Path) -> None:
    page = report_page(read_run(classifier(tmp_path / "run")))
    assert 'name="viewport"' in page
    for rule in (r"@media screen and \(prefers-color-scheme: dark\)", "@media print"):
        assert re.search(rule, page)


@pytest.mark.parametrize(
    ("monitor", "best", "last"),
    [
        ({"name": "held_out_f1", "mode": "max"}, "held-out f1 0.9 (epoch 2)", "0.7"),
        ({"name": "held_out_f1", "mode": "min"}, "held-out f1 0.5 (epoch 1)", "0.7"),
        ({"name": "loss", "mode": "min"}, "loss 0.1 (epoch 1)", "0.3"),
        ({"name": "absent", "mode": "max"}, "held-out score 3 (epoch 3)", "3"),
        ("damaged", "held-out score 3 (epoch 3)", "3"),
    ],
)
def test_a_list_shows_the_best_value_of_what_a_run_has_monitored(
    monitor: Any, best: str, last: str, tmp_path: Path
) -> None:
    lines = [
        {"epoch": n, "loss": n / 10, "held_out_score": n, "held_out_f1": f1, "seconds": 1.0}
        for n, f1 in ((1, 0.5), (2, 0.9), (3, 0.7))
    ]
    written(
        tmp_path / "run",
        config_json="{}",
        metrics_jsonl="".join(json.dumps(line) + "\n" for line in lines),
        summary_json=json.dumps({"monitor": monitor}),
    )
    (row,) = list_runs(tmp_path).rows
    assert row[4:6] == (best, last)
