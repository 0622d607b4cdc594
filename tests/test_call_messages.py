"""What is said of calls that do not fit: the function, the user's line, what to do."""

from __future__ import annotations

import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

X = smelt.ones(2, 3)
REDUCTIONS = (
    "all amax amin any count_nonzero log_softmax logsumexp max mean min norm prod softmax std sum "
    "var"
)


@pytest.mark.parametrize("name", REDUCTIONS.split())
def test_an_axis_that_is_missing_names_the_function_that_was_called(name) -> None:
    calls = [lambda dim: getattr(X, name)(dim=dim)]
    if hasattr(smelt, name):
        calls.append(lambda dim: getattr(smelt, name)(X, dim=dim))
    for call in calls:
        with pytest.raises(ArgumentError, match=rf"^{name}: axis 7 does not exist") as caught:
            call(7)
        assert "test_call_messages.py" in str(caught.value)
    if name == "sum":
        with pytest.raises(ArgumentError, match=r"sum: an axis of \(0, -2\) is named twice"):
            X.sum((0, -2))


def test_none_in_the_place_of_a_tensor() -> None:
    class Forgetful(nn.Module):
        def forward(self, x: smelt.Tensor) -> None:
            x * 2

    with pytest.raises(DTypeError, match=r"^cross_entropy: .*NoneType.*without a return"):
        F.cross_entropy(Forgetful()(X), smelt.tensor([0, 1]))
    with pytest.raises(DTypeError, match=r"^cat: cannot make a tensor of list: lists in it differ"):
        smelt.cat([[[1, 2], [3]]])
    with pytest.raises(ArgumentTypeError, match=r"^reshape: an extent must be a whole number"):
        X.reshape(6 / 2, 2)


class Masked(nn.Module):
    def forward(self, x: smelt.Tensor, mask: smelt.Tensor) -> smelt.Tensor:
        return x * mask


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Masked()(X), r"^Masked.forward: missing .*'mask'; it takes \(x, mask\)"),
        (lambda: smelt.compile(Masked())(X), r"^Masked.forward: missing .*'mask'"),
        (lambda: Masked()(X, msk=X), "did you mean 'mask' for 'msk'"),
        (lambda: smelt.compile(lambda a, b: a)(X), r"lambda: missing .*'b'; it takes \(a, b\)"),
        (lambda: nn.Linear(3, 2)(X, X), r"^Linear.forward: too many .*; it takes \(x\)"),
        (lambda: nn.Parameter(X).data.zero_(1.0), "^zero_: too many positional arguments"),
        (lambda: nn.Parameter(X).data.add_(), "^add_: missing .*'other'"),
    ],
)
def test_arguments_that_a_function_does_not_take(call, message) -> None:
    with pytest.raises(ArgumentTypeError, match=message) as caught:
        call()
    assert "test_call_messages.py" in str(caught.value)


def test_an_error_within_the_user_s_function_is_the_user_s() -> None:
    class Broken(nn.Module):
        def forward(self, x: smelt.Tensor) -> int:
            return len(3)  # type: ignore[arg-type]

    for call in (Broken(), smelt.compile(lambda x: len(3))):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="has no len"):
            call(X)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: X @ smelt.ones(4, 3), ShapeError, "turn the right one: x @ y.mT"),
        (lambda: smelt.ones(3, 2) @ smelt.ones(3, 4), ShapeError, "turn the left one: x.mT @ y"),
        (lambda: X @ smelt.ones(4, 5), ShapeError, "inner extents differ\n"),
        (lambda: nn.BatchNorm1d(3)(X[:1]), ShapeError, r"call model.eval\(\)"),
        (lambda: nn.Embedding(3, 2)(X), DTypeError, r"write \.long\(\)"),
        (lambda: smelt.stack([X, X], 7), ArgumentError, "^stack: there is no place 7"),
        (lambda: X.unsqueeze(7), ArgumentError, "^unsqueeze: there is no place 7"),
        (lambda: smelt.optim.SGD(iter(()), lr=1.0), ArgumentError, "can be read once"),
        (lambda: nn.Sequential([nn.ReLU()]), ArgumentError, r"write a \* before it"),
        (lambda: F.cross_entropy(X, X.long()), ShapeError, "argmax for those of one-hot rows"),
    ],
)
def test_what_to_do_is_said(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
