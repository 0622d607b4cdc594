"""Values of concrete tensors that Python looks at while a step is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor
from smelt.errors import TraceError

LOOKS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda s: s.item(),
    "float": float,
    "int": int,
    "bool": bool,
    "numpy": lambda s: s.numpy(),
    "tolist": lambda s: s.tolist(),
    "median": np.median,
    "format": lambda s: float(f"{s:.3f}"),
}
looks = pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())


@looks
def test_a_value_that_was_looked_at_is_read_anew_when_it_has_changed(
    look: Callable[[Tensor], Any],
) -> None:
    s = smelt.tensor(1.0)

    def function(x: Tensor) -> Tensor:
        return x * look(s)

    step = smelt.compile(function)
    for value in (1.0, 0.0, 3.0, 0.0):
        s.copy_(smelt.tensor(value))
        x = smelt.ones(1)
        assert step(x).tolist() == pytest.approx(function(x).tolist())
    assert step.traces == 3  # the version for 0 was still there


def test_a_branch_by_a_captured_value_follows_it() -> None:
    flag = smelt.tensor(True)
    step = smelt.compile(lambda x: x if flag else -x)
    assert step(smelt.ones(1)).item() == 1
    flag.copy_(smelt.tensor(False))
    assert step(smelt.ones(1)).item() == -1
    assert step.repeat(2, smelt.ones(1)).tolist() == [[-1], [-1]]


@looks
def test_a_value_that_the_step_changes_cannot_be_looked_at(look: Callable[[Tensor], Any]) -> None:
    s = smelt.tensor(1.0)

    def after() -> Any:
        s.copy_(s + 1)
        return smelt.tensor(1.0) * look(s)

    def before() -> Any:
        seen = look(s)
        s.copy_(s + 1)
        return smelt.tensor(1.0) * seen

    for function in (after, before):
        with pytest.raises(TraceError, match=r"smelt\.cond"):
            smelt.compile(function)()
        assert s.item() == 1


def test_nor_inside_a_loop_or_a_vmap() -> None:
    s = smelt.tensor(1.0)

    def body(h: Tensor, _: None) -> tuple[Tensor, None]:
        s.copy_(s + 1)
        return h * s.item(), None

    with pytest.raises(TraceError, match=r"smelt\.cond"):
        smelt.compile(lambda: smelt.scan(body, smelt.ones(1), length=3))()
    step = smelt.compile(smelt.vmap(lambda x: x * s.item()))
    assert step(smelt.ones(2)).tolist() == [1, 1]
    s.copy_(smelt.tensor(5.0))
    assert step(smelt.ones(2)).tolist() == [5, 5]


def test_printing_a_captured_tensor_makes_no_new_version(
    capsys: pytest.CaptureFixture[str],
) -> None:
    s = smelt.tensor(1.0)

    def function(x: Tensor) -> Tensor:
        print(s)
        return x * s

    step = smelt.compile(function)
    step(smelt.ones(1))
    s.copy_(smelt.tensor(2.0))
    assert step(smelt.ones(1)).item() == 2
    assert capsys.readouterr().out.count("tensor(") == 1
    assert step.traces == 1
