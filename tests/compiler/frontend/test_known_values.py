"""What a step works out by tensors from constants alone has a value while it is traced."""

from __future__ import annotations

import pytest

import smelt
import smelt.nn.functional as F
from smelt.errors import TraceError


def test_sizes_worked_out_by_tensors() -> None:
    def step(x):
        missing = smelt.tensor([8 - x.shape[0]])
        wide = F.pad(x, [missing // 2, missing - missing // 2])
        rows = smelt.tensor([2, 4]).prod().div(4, rounding_mode="floor")
        if smelt.tensor(x.shape).sum() > 4:
            wide = wide * smelt.tensor(3.0).sqrt().item()
        return wide.reshape(rows, -1), float(smelt.arange(5).sum()), smelt.eye(2).tolist()

    x = smelt.arange(5.0)
    compiled, eager = smelt.compile(step)(x), step(x)
    assert compiled[0].shape == (2, 4)
    assert smelt.allclose(compiled[0], eager[0])
    assert [float(number) for number in compiled[1:2]] == [10.0]


@pytest.mark.parametrize(
    "value",
    [
        lambda x: x.sum(),
        lambda x: smelt.rand(()),
        lambda x: x.sum() * 0 + 1,
        lambda x: smelt.scan(lambda c, _: (c + 1, None), smelt.zeros(()), None, length=3)[0],
        lambda x: smelt.ones(5000).sum(),
    ],
)
def test_what_depends_on_more_has_none(value) -> None:
    with pytest.raises(TraceError, match="known only when the compiled step runs"):
        smelt.compile(lambda x: x if value(x) > 0 else -x)(smelt.ones(2))
