"""`smelt bench`: what is measured, how sides are run, and what a reader gets."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.bench import run as runner
from smelt.bench.case import GROUPS, LIMIT
from smelt.bench.products import Product
from smelt.bench.run import chosen_cases, run
from smelt.bench.workload import Library
from smelt.bench.workloads import WORKLOADS
from smelt.bench.workloads.sweeps import SWEEPS
from smelt.cli import main
from smelt.errors import ArgumentError, NumericsError


@pytest.fixture
def peers(tmp_path: Path) -> str:
    """A Python that has no PyTorch, and nothing of Smelt."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return str(program)


def test_names_of_cases_are_different() -> None:
    names = [name for cases in GROUPS.values() for name in cases]
    assert len(names) == len(set(names))
    assert set(GROUPS) == {
        "book",
        "matmul",
        "layers",
        "mlp",
        "convolution",
        "lstm",
        "gru",
        "transformer",
    }
    assert list(chosen_cases(["rnn", "mlp"])) == ["rnn", *GROUPS["mlp"]]
    assert len(chosen_cases(["all"])) == len(names)
    with pytest.raises(ArgumentError, match="there is no 'rmm'; there are the groups book, "):
        chosen_cases(["rmm"])
    with pytest.raises(ArgumentError, match="these cases have no side 'keras'; there are smelt, "):
        next(run(chosen_cases(["rnn"]), ["smelt", "keras"], "python", 1, [1]))


@pytest.mark.parametrize("name", ["mlp-8", "conv-4", "lstm-8-32-32", "gru-8-32-32"])
def test_a_sweeps_step_learns(name: str) -> None:
    (workload,) = (cases[name] for cases in SWEEPS.values() if name in cases)
    lib = Library(nn, F, optim, smelt.tensor, smelt.randn, smelt.cat, lambda function: function)
    arrays = [smelt.tensor(array) for array in workload.arrays()]
    step = smelt.compile(workload.step(lib, workload.weights(), True))
    losses = [step(*arrays).item() for _ in range(10)]
    assert losses[-1] < losses[0]
    assert workload.products > 0


@pytest.mark.parametrize("transposed", list(itertools.product((False, True), repeat=2)))
def test_operands_lie_as_a_product_says(transposed: tuple[bool, bool]) -> None:
    a, b = Product(2, 3, 4, transposed, "float64").operands()
    assert a.shape == ((3, 2) if transposed[0] else (2, 3))
    assert b.shape == ((4, 3) if transposed[1] else (3, 4))
    assert a.dtype == b.dtype == np.float64


def test_each_side_is_measured_and_a_missing_one_named(
    peers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "times.json"
    command = ["bench", "max-of-three", "matmul-8", "--sides", "smelt", "numpy", "torch"]
    options = ["--peers", peers, "--rounds", "2", "--threads", "1", "--json", str(written)]
    assert main([*command, *options]) == 0
    text = capsys.readouterr().out
    assert "torch is left out" in text
    assert "| | Smelt, a call | Smelt, repeat | NumPy | limit |" in text
    assert "GFLOP/s" in text
    cases = json.loads(written.read_text())["cases"]
    steps, product = cases["max-of-three"], cases["matmul-8"]
    assert set(steps["times"]) == {"Smelt, a call", "Smelt, repeat", "limit"}
    assert set(product["times"]) == {"Smelt, a call", "NumPy", "limit"}
    assert set(steps["missing"]) == {"torch"}
    assert steps["memory"]["smelt"] > 10
    assert 0 < steps["times"]["limit"]["median"] < steps["times"]["Smelt, repeat"]["median"]
    assert product["operations"] == 2 * 8**3


def test_a_figure_shows_every_column(peers: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from smelt.bench.report import figure

    results = dict(run(chosen_cases(["matmul-8"]), ["smelt", "numpy"], peers, 2, [1]))
    names = {line.get_label() for line in figure(results).axes[0].lines}
    assert {"Smelt, a call", "NumPy", "limit"} <= names


def test_sides_that_do_not_agree_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def samples(
        script: Path,
        names: list[str],
        peers: str,
        rounds: int,
        threads: int,
        listen: Any,
        more: Any,
    ) -> dict[str, dict[str, list[float]]]:
        for name in names:
            losses = [1.0, 0.5 if name.startswith(wrong) else 0.9]
            listen(name, {"losses": losses, "first": 0.1, "memory": 9.0})
        return {}

    monkeypatch.setattr(runner, "samples", samples)
    cases = {"rnn": GROUPS["book"]["rnn"]}
    wrong = "torch "
    with pytest.raises(NumericsError, match="the losses of smelt and torch differ"):
        list(run(cases, ["smelt", "torch"], "python", 1, [1]))
    wrong = "torch.compile"
    ((_, measured),) = run(cases, ["smelt", "torch.compile"], "python", 1, [1])
    assert "smelt and torch.compile differ" in measured.remarks[0]


def test_no_module_of_the_sides_imports_smelt() -> None:
    """Peers import them where there is no llvmlite."""
    folder = Path(smelt.__file__).parent / "bench"
    files = [*folder.glob("workloads/*.py"), *(folder / f"{name}.py" for name in SIDES)]
    assert len(files) > 10
    for path in files:
        assert not [line for line in _imports_at_the_top(path) if "smelt.bench" not in line]


SIDES = ("layers", "side", "sides", "case", "products", "workload", "harness", "jax_parts")


def _imports_at_the_top(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        if line.startswith(("import smelt", "from smelt")):
            yield line


def test_the_nine_workloads_have_a_limit() -> None:
    assert len(WORKLOADS) == 9
    cases = [case for cases in GROUPS.values() for case in cases.values()]
    assert all((LIMIT in case.sides) == (case.operations > 0) for case in cases)


def test_layers_run_with_their_gradients(peers: str) -> None:
    names = ["linear-10-64", "transposed-100-128", "groupnorm-8", "layer-gru"]
    for _, measured in run(chosen_cases(names), ["smelt"], peers, 1, [1]):
        assert measured.ours > 0
