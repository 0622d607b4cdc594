"""What notebooks show: sound HTML, without colors, scripts or anything from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import data, markup, nn
from smelt.train import Epoch, History

TAGS = {"div", "pre", "table", "thead", "tbody", "tr", "th", "td", "progress", "span"}
EVIL = "<script>alert('&\"')</script>"


class Reader(HTMLParser):
    """Reads HTML that must be well nested and of few tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _ in attrs} <= {"style", "colspan", "value", "max"}
        style = dict(attrs).get("style") or ""
        assert not re.search("color|background|url|#|font-(?!family: monospace)", style)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def read(shown: Any) -> Reader:
    """Returns what a notebook would show of an object, after a look at its HTML."""
    text = shown if isinstance(shown, str) else shown._repr_html_()
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


class Evil(nn.Module):
    def extra_repr(self) -> str:
        return EVIL


def compiled() -> smelt.CompiledStep:
    step = smelt.compile(lambda x: x.exp() * 2)
    step(smelt.ones(3))
    return step


model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), Evil()))
DISPLAYS: dict[str, tuple[Callable[[], Any], str]] = {
    "tensor": (lambda: smelt.ones(2, 3), "Tensor (2, 3) · float32"),
    "parameter": (lambda: nn.Parameter(smelt.ones(2)), "Parameter (2,) · float32 · requires grad"),
    "module": (lambda: model, "weight (4, 3), bias (4,)"),
    "summary": (lambda: smelt.summary(nn.Linear(3, 4), smelt.ones(2, 3)), "(2, 4)"),
    "explain": (lambda: smelt.explain(nn.Linear(3, 4), smelt.ones(2, 3)), "16 parameters"),
    "table": (lambda: data.Table({EVIL: [EVIL, None]}), EVIL),
    "memory": (lambda: compiled().memory(), "peak, known before the first run"),
    "step": (lambda: compiled().explain(), "kernels"),
    "loops": (lambda: compiled().explain("scheduled"), "kernel"),
    "history": (lambda: History([Epoch(1, 0.5, {EVIL: 0.25}, 1.0)]), "1 epoch · 1.0 s"),
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_displays_are_plain_html(name: str) -> None:
    make, words = DISPLAYS[name]
    assert words in "".join(read(make()).text)


def test_text_is_escaped_wherever_it_stands() -> None:
    assert EVIL in [cell for row in read(model).rows for cell in row]
    pieces = [markup.note(EVIL), markup.preformatted(EVIL), markup.Text(EVIL)._repr_html_()]
    pieces.append(markup.table([EVIL], [[EVIL]], total=[EVIL]))
    for piece in pieces:
        assert EVIL in "".join(read(piece).text)


def test_many_rows_are_cut_in_the_middle() -> None:
    assert markup.cut(5, 5) == [0, 1, 2, 3, 4]
    assert markup.cut(100, 5) == [0, 1, 2, None, 98, 99]
    rows = read(markup.table(["n"], [[n] for n in range(1000)])).rows
    assert len(rows) == markup.SHOWN + 2
    assert rows[31] == ["… 940 more …"]
    table = data.Table({"n": list(range(100)), "half": [n / 2 for n in range(100)]})
    rows = read(table).rows
    assert rows[:3] == [["", "n", "half"], ["", "int64", "float64"], ["0", "0", "0"]]
    assert rows[12:14] == [["…", "…", "…"], ["90", "90", "45"]]
    wide = data.Table({f"column {number}": [number] for number in range(1000)})
    rows = read(wide).rows
    assert rows[2][9:13] == ["8", "9", "…", "990"]
    assert len(read(data.Table({})).rows) == 2


def test_tensors_are_cut_in_the_middle() -> None:
    x = smelt.arange(2000).reshape(20, 100)
    rows = read(x).rows
    assert rows[0] == ["", "0", "1", "2", "3", "4", "…", "95", "96", "97", "98", "99"]
    assert rows[2][:3] == ["1", "100", "101"]
    assert rows[6] == ["…"] * 12
    assert len(rows) == 12
    assert read(smelt.tensor([True, False])).rows[1] == ["", "True", "False"]
    assert read(smelt.tensor([0.1, np.nan]).to(smelt.bfloat16)).rows[1] == ["", "0.1001", "nan"]
    assert "[[[" in "".join(read(smelt.ones(2, 2, 2)).text)
    assert read(smelt.zeros(0, 3)).text == ["Tensor (0, 3) · float32"]
    assert read(smelt.tensor(3)).text == ["Tensor () · int64", "3"]


def test_a_tensor_without_values_shows_its_text_only() -> None:
    shown: list[Any] = []
    smelt.compile(lambda x: shown.append(x._repr_html_()) or x)(smelt.ones(2))
    assert shown == [None]


def test_the_tree_of_a_module_has_shapes_and_counts() -> None:
    rows = read(model).rows
    assert rows[2] == [
        "0: Linear",
        "in_features=3, out_features=4, bias=True",
        "weight (4, 3), bias (4,)",
        "16",
    ]
    assert rows[-1] == ["total", "", "", "16"]


def test_a_report_is_a_text() -> None:
    report = compiled().explain()
    assert isinstance(report, str)
    assert report + "" == str(report)
    assert "".join(read(report).text) == str(report)


def test_a_text_says_what_its_values_do_not_show() -> None:
    assert repr(smelt.ones(2)) == "tensor([1., 1.])"
    assert repr(smelt.ones(2).int()) == "tensor([1, 1], dtype=smelt.int32)"
    assert repr(smelt.zeros(0)) == "tensor([])"
    assert repr(smelt.zeros(0).long()) == "tensor([], dtype=smelt.int64)"
    assert repr(smelt.zeros(2, 0)) == "tensor([], shape=(2, 0))"
    long = "tensor([0., 0., 0., ..., 0., 0., 0.], shape=(1001,))"
    assert repr(smelt.zeros(1001)) == long
