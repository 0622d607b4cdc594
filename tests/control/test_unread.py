"""What a loop or branch makes and nobody reads, also where that shows only while simplifying."""

from __future__ import annotations

import smelt
from smelt import Tensor


def test_a_result_whose_only_reader_has_no_elements() -> None:
    def loss(x: Tensor) -> Tensor:
        last, _ = smelt.while_loop(
            lambda carry: carry[1] < 3,
            lambda carry: (smelt.sin(carry[0]), carry[1] + 1),
            (x, smelt.tensor(0)),
            max_steps=4,
        )
        return last.sum()

    value, gradient = smelt.compile(smelt.value_and_grad(loss))(smelt.zeros(0, 3))
    assert value.item() == 0.0
    assert gradient.shape == (0, 3)


def test_outputs_that_only_dropped_nodes_read_are_not_made() -> None:
    def run(x: Tensor) -> Tensor:
        last, rows = smelt.scan(lambda h, x: (h + x, smelt.exp(h)), smelt.zeros(3), x)
        return last + (rows[:, :0].sum(1) * 0.0).sum()

    step = smelt.compile(run)
    assert step(smelt.ones(4, 3)).tolist() == [4.0, 4.0, 4.0]
    assert "exp" not in step.explain("scheduled")
