"""What is said of calls that do not fit: the function, the user's line, what to do."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Literal

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.data import Vocabulary
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError, SmeltError
from smelt.tensor.checked import checked

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
        (lambda: smelt.optim.SGD(iter(()), lr=1.0), ArgumentError, "can be read only once"),
        (lambda: nn.Sequential([nn.ReLU()]), ArgumentError, r"write a \* before it"),
        (lambda: F.cross_entropy(X, X.long()), ShapeError, "argmax for those of one-hot rows"),
    ],
)
def test_what_to_do_is_said(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


class Wrapper:
    """A data set of some kind."""

    def __iter__(self) -> object:
        return iter(())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smelt.settings(chek_nan=True), "did you mean 'check_nan'"),
        (lambda: smelt.settings(color=1), "it has check_nan, compile"),
        (lambda: smelt.optim.SGD([X], learning_rate=1.0), "did you mean 'lr' for"),
        (
            lambda: smelt.optim.Adam([X], betas=0.9),
            "Adam: betas must be two numbers.*, got 0.9",
        ),
        (
            lambda: smelt.optim.Adam([X], betas=(0.9,)),
            "two numbers.*, got 1 of them",
        ),
        (lambda: smelt.optim.Adam([X], betas=(0.9, "a")), r"betas\[1\] must be a number"),
        (lambda: smelt.optim.clip_grad_norm_(nn.Linear(2, 2), 1.0), r"give model.parameters\(\)"),
        (lambda: nn.utils.clip_grad_value_(nn.Linear(2, 2), 1.0), r"give model.parameters\(\)"),
        (lambda: smelt.optim.clip_grad_norm_(iter(()), 1.0), "can be read only once"),
        (lambda: nn.CrossEntropyLoss(X, X), r"CrossEntropyLoss\(\)\(input, target\)"),
        (lambda: nn.MSELoss(X, X), r"MSELoss\(\)\(input, target\)"),
        (lambda: nn.NLLLoss(X), r"weight is \(C,\).*got shape \(2, 3\)"),
        (lambda: smelt.compile(lambda x: x).over(Wrapper()), "over: takes .*got a Wrapper.*batch"),
        (lambda: smelt.compile(lambda x: x).over(X), "batch_size must be a whole number"),
        (lambda: X * {}.get(X), "a dict finds by identity"),  # type: ignore[call-overload]
        (lambda: smelt.save({}, "~/nowhere/x.safetensors"), "write os.path.expanduser"),
        (lambda: smelt.load("~/nowhere/x.safetensors"), "write os.path.expanduser"),
        (lambda: smelt.save({}, "/nowhere/x.safetensors"), "no folder '/nowhere'.*os.makedirs"),
        (lambda: nn.Flatten()("a"), "^Flatten.forward"),
    ],
)
def test_mistakes_of_a_first_day(call, message) -> None:
    with pytest.raises(smelt.errors.SmeltError, match=message) as caught:
        call()
    assert "test_call_messages.py" in str(caught.value)


def test_an_empty_list_has_nothing_to_clip() -> None:
    assert smelt.optim.clip_grad_norm_([], 1.0).item() == 0


def test_a_method_that_a_step_does_not_call_is_noticed() -> None:
    weight = nn.Parameter(smelt.ones(2))
    opt = smelt.optim.SGD([weight], lr=0.1)

    def step() -> smelt.Tensor:
        opt.zero_grad()
        loss = (weight * X[0, :2]).sum()
        loss.backward()
        opt.step  # noqa: B018
        return loss

    line = step.__code__.co_firstlineno + 4
    with pytest.warns(UserWarning, match=rf"\.step at .*:{line} is not called; write \.step\(\)"):
        smelt.compile(step)()


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Linear(3, 2),
        lambda: nn.Flatten(),
        lambda: nn.ReLU(),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 2)),
        lambda: nn.BatchNorm1d(4),
        lambda: nn.Conv1d(4, 2, 1),
        lambda: nn.LSTM(3, 2),
        lambda: nn.LayerNorm(3),
        lambda: nn.Dropout(0.5),
        lambda: nn.Identity(),
    ],
)
def test_layers_take_arrays_as_tensors(layer) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    layer = layer().eval()

    def first(result: object) -> smelt.Tensor:
        return result[0] if isinstance(result, tuple) else result  # type: ignore[return-value]

    found = first(layer(array))
    assert found.tolist() == first(layer(smelt.tensor(array))).tolist()
    assert smelt.allclose(first(smelt.compile(layer)(array)), found, 1e-4)


def test_arrays_as_state_and_by_keyword() -> None:
    lstm, x = nn.LSTM(3, 2), np.ones((4, 1, 3), np.float32)
    state = (np.ones((1, 1, 2), np.float32), np.zeros((1, 1, 2), np.float32))
    found = lstm(x, state)[0].tolist()
    assert found == lstm(smelt.tensor(x), tuple(map(smelt.tensor, state)))[0].tolist()
    attention = nn.MultiheadAttention(4, 2)
    x, mask = np.ones((3, 1, 4), np.float32), np.eye(3) > 0
    assert attention(x, x, x, attn_mask=mask)[0].shape == (3, 1, 4)
    seen = []

    class Own(nn.Module):
        def forward(self, x: object) -> object:
            seen.append(type(x))
            return x

    Own()(x)
    assert seen == [np.ndarray]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Linear(8, 2)(nn.GRU(3, 8)(X)), DTypeError, r"\(2, 8\), \(1, 8\); take one"),
        (lambda: nn.Linear(6, 2)(X), ShapeError, r"x\.unsqueeze\(0\) for one"),
        (lambda: nn.Linear(6, 2)(smelt.ones(4, 2, 3)), ShapeError, r"nn\.Flatten\(\) in front"),
        (lambda: nn.Linear(7, 2)(smelt.ones(4, 6)), ShapeError, "extent must be `in`\n"),
        (lambda: F.cross_entropy(smelt.tensor([1, 0]), X), DTypeError, r"\(input, target\)"),
        (lambda: F.cross_entropy(X, smelt.ones(2)), DTypeError, r"write target\.long\(\)"),
        (lambda: F.cross_entropy(X, smelt.tensor([1, 3])), IndexError, "count from 0"),
        (lambda: nn.Embedding(2, 3)(smelt.tensor([2])), IndexError, r"as len\(vocabulary\)"),
        (lambda: Vocabulary.build(["a"], max_tokens=3), ArgumentTypeError, "^Vocabulary.build: "),
        (lambda: Vocabulary.build(["a"], max_tokens=3), ArgumentTypeError, "did you mean 'size'"),
        (lambda: nn.Linear(2, zzz=3), ArgumentTypeError, "unexpected|missing"),
    ],
)
def test_the_usual_slips_are_told_what_to_write(call, error, message) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "test_call_messages.py" in str(caught.value)


def test_a_word_that_is_none_of_the_choices_is_named_before_the_call() -> None:
    @checked
    def count(x: int, by: Literal["row", "column"] | None = None) -> int:
        return x

    assert count(1, "row") == count(1, None) == count(1, by="column") == 1
    for given in ("rows", 3, True):
        with pytest.raises(ArgumentTypeError, match="count: by must be 'row' or 'column' or None"):
            count(1, by=given)


ROOMS = (
    "smelt.data smelt.nn smelt.nn.functional smelt.nn.init smelt.optim smelt.optim.lr_scheduler "
    "smelt.optim.swa_utils smelt.plot smelt.tabular smelt.train"
)


@pytest.mark.parametrize("room", ROOMS.split())
def test_a_keyword_that_is_unknown_is_named_everywhere(room: str) -> None:
    module = pytest.importorskip(room)
    own = {name: getattr(module, name) for name in module.__all__}
    called = {
        name: thing
        for name, thing in own.items()
        if callable(thing) and (not isinstance(thing, type) or "__init__" in vars(thing))
    }
    raw = []
    for name, thing in called.items():
        if is_dataclass(thing) or name in MADE:
            continue
        try:
            thing(no_such_keyword=1)
        except SmeltError:
            continue
        except TypeError as error:
            raw.append((name, str(error)))
    assert called
    assert not raw


MADE = {"ClassificationMetric", "Module", "Optimizer"}  # bases, of which a user makes subclasses
