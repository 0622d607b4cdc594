"""Methods with an underscore change states, eagerly and compiled alike, and no values."""

from __future__ import annotations

from typing import Any

import pytest

import smelt
from smelt import nn
from smelt.errors import AssignmentError, DTypeError, ShapeError
from smelt.tensor.in_place import InPlace

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "add_": (2.0,), "addcdiv_": (2.0, 4.0), "addcmul_": (2.0, 4.0), "clamp_": (0.3, 0.6),
    "clamp_max_": (0.6,), "clamp_min_": (0.3,), "clip_": (0.3, 0.6), "div_": (2.0,),
    "fill_": (2.0,), "lerp_": (2.0, 0.5), "masked_fill_": (smelt.tensor([True, False]), 3.0),
    "mul_": (2.0,), "pow_": (2.0,), "scatter_add_": (0, smelt.tensor([0, 0]), smelt.ones(2)),
    "scatter_": (0, smelt.tensor([1]), 2.0), "sub_": (2.0,), "atan2_": (0.3,),
    "addmm_": (smelt.ones(2, 3), smelt.ones(3, 2)),
    "cumprod_": (0,), "cumsum_": (0,), "divide_": (2.0,), "floor_divide_": (0.2,),
    "logical_and_": (0.0,), "logical_or_": (0.0,), "multiply_": (2.0,), "remainder_": (0.2,),
    "subtract_": (2.0,), "true_divide_": (2.0,),
    **dict.fromkeys(("eq_", "ge_", "gt_", "le_", "lt_", "ne_"), (0.25,)),
}  # fmt: skip
MATRICES = ("addmm_", "tril_", "triu_")
NAMES = [name for name in vars(InPlace) if name.endswith("_") and not name.startswith("_")]


def start(name: str) -> smelt.Tensor:
    return smelt.tensor([[0.25, 0.75]] * 2 if name in MATRICES else [0.25, 0.75])


@pytest.mark.parametrize("name", NAMES)
def test_a_state_changes_eagerly_as_compiled(name: str) -> None:
    arguments = ARGUMENTS.get(name, ())

    def change(state: smelt.Tensor) -> smelt.Tensor:
        with smelt.no_grad():
            assert getattr(state, name)(*arguments) is state
            return state * 1

    states = [nn.Parameter(start(name)) for _ in range(2)]
    smelt.manual_seed(3)
    eager = change(states[0])
    smelt.manual_seed(3)
    compiled = smelt.compile(lambda: change(states[1]))()
    assert smelt.allclose(eager, compiled, 1e-6)
    assert states[0].tolist() == eager.tolist()
    assert smelt.allclose(states[0], states[1], 1e-6)
    function = getattr(smelt.Tensor, name.removesuffix("_"), None)
    if function is not None:
        wanted = function(start(name), *arguments)
        assert smelt.allclose(eager, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_not_changed(name: str) -> None:
    x = start(name)
    with pytest.raises(AssignmentError, match=r"Write .*no_grad"):
        getattr(x, name)(*ARGUMENTS.get(name, ()))
    y = nn.Parameter(x) * 2
    with smelt.no_grad(), pytest.raises(AssignmentError, match="tensors are values"):
        getattr(y, name)(*ARGUMENTS.get(name, ()))
    assert x.tolist() == start(name).tolist()


def test_data_is_the_tensor_without_history() -> None:
    weight = nn.Parameter(smelt.ones(2))

    def change(factor: smelt.Tensor) -> smelt.Tensor:
        weight.data.mul_(factor).add_(1)
        weight.data -= 0.5
        weight.data = weight.data * 2
        return (weight * weight.data).sum()

    assert change(smelt.tensor(3.0)).item() == 98
    assert weight.tolist() == [7, 7]
    weight.data.fill_(1)
    assert smelt.compile(change)(smelt.tensor(3.0)).item() == 98
    assert weight.tolist() == weight.data.tolist() == [7, 7]
    assert not weight.data.requires_grad
    assert weight.data.numpy().tolist() == [7, 7]
    assert (weight * 2).data.tape_entry is None
    with pytest.raises(ShapeError, match="keeps its shape"):
        weight.data = smelt.ones(3)
    weight.data = weight.data.double()
    assert weight.dtype is smelt.float64


def test_a_view_made_before_shows_what_holds_now() -> None:
    weight = nn.Parameter(smelt.ones(2))
    view = weight.data
    with smelt.no_grad():
        weight.add_(1)
    assert view.tolist() == [2, 2]
    assert smelt.compile(lambda: view * 2)().tolist() == [4, 4]


def test_buffers_are_changed_in_place() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", smelt.zeros((), dtype=smelt.int64))
            self.total = nn.Buffer(smelt.zeros(2))

        def forward(self, x: smelt.Tensor) -> smelt.Tensor:
            self.count += 1
            self.total.mul_(0.5).add_(x)
            return self.total * self.count

    eager, compiled = Counter(), Counter()
    step = smelt.compile(compiled.__call__)
    for _ in range(3):
        x = smelt.ones(2)
        assert eager(x).tolist() == step(x).tolist()
    assert eager.count.item() == compiled.count.item() == 3
    assert sorted(eager.state_dict()) == ["count", "total"]
    for buffer in eager.buffers():
        buffer += 1
    assert eager.count.item() == 4
    with pytest.raises(DTypeError, match="does not fit"):
        eager.count += 0.5
    with smelt.no_grad(), pytest.raises(DTypeError, match="does not fit"):
        eager.count.add_(0.5)


def test_what_a_state_cannot_hold_is_refused() -> None:
    weight = nn.Parameter(smelt.ones(2))
    with smelt.no_grad():
        with pytest.raises(ShapeError, match="does not fit"):
            weight.add_(smelt.ones(3, 2))
        with pytest.raises(AssignmentError, match="keeps its shape"):
            weight.unsqueeze_(0)
        with pytest.raises(AssignmentError, match="keeps its shape"):
            weight.t_()


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (0, r"x = x\.at\[0\]\.set\(v\)"),
        ((slice(None), slice(0, None, 2)), r"x\.at\[:, 0::2\]"),
        ((None, ..., -1), r"x\.at\[None, \.\.\., -1\]"),
        (smelt.ones(3) > 0, r"x\.at\[mask\]"),
        ([0, 1], r"x\.at\[i\]"),
    ],
)
def test_an_assignment_to_items_says_what_to_write(index: Any, words: str) -> None:
    with pytest.raises(AssignmentError, match=words):
        smelt.zeros(3, 4)[index] = 1.0
    with smelt.no_grad(), pytest.raises(AssignmentError, match=r"x\.copy_\(.*under smelt.no_grad"):
        nn.Parameter(smelt.zeros(3, 4))[index] = 1.0
