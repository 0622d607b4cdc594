"""Tensor: operators and elementary functions against NumPy, and the tensor itself."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest

import smelt
from smelt import dtypes, tree
from smelt.creation import from_numpy, tensor
from smelt.errors import (
    ArgumentError,
    AssignmentError,
    DTypeError,
    GradientError,
    ShapeError,
    TraceError,
)
from smelt.tensor import Tensor, as_tensor, elementary
from smelt.tracing.engine import no_grad
from tests.gradients import check_gradient

DRAW = np.random.default_rng(3)
X = DRAW.normal(size=(3, 4, 2))


# --- dtypes and operators -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("float32", "float64", "float64"),
        ("int64", "float32", "float32"),
        ("int32", "int64", "int64"),
        ("bool", "int32", "int32"),
        ("float16", "bfloat16", "float32"),
        ("int64", "float16", "float16"),
    ],
)
def test_two_dtypes_make_one(left, right, result):
    a, b = tensor([1, 0]).to(left), tensor([1, 1]).to(right)
    assert (a + b).dtype is (b * a).dtype is dtypes.as_dtype(result)
    assert elementary.where(tensor([True, False]), a, b).dtype is dtypes.as_dtype(result)


@pytest.mark.parametrize(
    ("dtype", "scalar", "result"),
    [
        ("float32", 2.5, "float32"),
        ("float32", np.float64(2.5), "float32"),
        ("float16", 2, "float16"),
        ("int32", 2, "int32"),
        ("int32", 2.5, "float32"),
        ("bool", 2, "int64"),
        ("bool", True, "bool"),
    ],
)
def test_scalars_are_weak(dtype, scalar, result):
    x = tensor([1, 0]).to(dtype)
    assert (x + scalar).dtype is (scalar * x).dtype is dtypes.as_dtype(result)


OPERATORS = [
    ("+", lambda a, b: a + b),
    ("-", lambda a, b: a - b),
    ("*", lambda a, b: a * b),
    ("/", lambda a, b: a / b),
    ("//", lambda a, b: a // b),
    ("%", lambda a, b: a % b),
    ("**", lambda a, b: abs(a) ** b),
    ("<", lambda a, b: a < b),
    (">=", lambda a, b: a >= b),
    ("==", lambda a, b: a == b),
    ("!=", lambda a, b: a != b),
]


@pytest.mark.parametrize(("name", "operator"), OPERATORS)
def test_operators_agree_with_numpy(name, operator):
    a, b = DRAW.normal(size=(3, 1)), DRAW.normal(size=4)
    np.testing.assert_allclose(operator(tensor(a), tensor(b)).numpy(), operator(a, b), rtol=1e-15)
    np.testing.assert_allclose(operator(tensor(a), 1.5).numpy(), operator(a, 1.5), rtol=1e-15)
    np.testing.assert_allclose(operator(2.5, tensor(b)).numpy(), operator(2.5, b), rtol=1e-15)
    np.testing.assert_allclose(operator(a, tensor(b)).numpy(), operator(a, b), rtol=1e-15)


def test_small_powers_and_signs():
    x = tensor([-2.0, 3.0])
    assert [(x**n).tolist() for n in range(5)] == [[(-2.0) ** n, 3.0**n] for n in range(5)]
    assert (-x).tolist() == [2, -3]
    assert (+x) is x
    assert abs(x).tolist() == [2, 3]


def test_logic():
    a, b = tensor([True, True, False]), tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (~a).tolist() == [False, False, True]
    assert a.logical_and(tensor([2.0, 0.0, 1.0])).tolist() == [True, False, False]
    assert a.logical_not().tolist() == [False, False, True]


def test_a_tensor_with_something_else():
    with pytest.raises(DTypeError, match="combined with a str"):
        tensor([1.0]) + "1"
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        tensor([1.0, 2.0]) + tensor([1.0, 2.0, 3.0])


UNARY = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh, "atan": np.arctan, "abs": np.abs,
    "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc,
    "square": np.square, "reciprocal": np.reciprocal, "isnan": np.isnan, "isfinite": np.isfinite,
    "isinf": np.isinf,
}  # fmt: skip
POSITIVE = {
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}  # fmt: skip
UNIT = {"asin": np.arcsin, "acos": np.arccos}


@pytest.mark.parametrize("name", [*UNARY, *POSITIVE, *UNIT])
def test_elementary_functions(name):
    given = np.abs(X) + 0.1 if name in POSITIVE else np.tanh(X) if name in UNIT else X
    expected = (UNARY | POSITIVE | UNIT)[name](given)
    np.testing.assert_allclose(getattr(tensor(given), name)().numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(getattr(elementary, name)(given).numpy(), expected, rtol=1e-13)
    if expected.dtype == float:
        check_gradient(lambda x: (getattr(x, name)() * tensor(X)).sum(), given)


def test_atan2_lerp_and_nan_to_num():
    a, b = tensor(X[0]), tensor(X[1])
    np.testing.assert_allclose(a.atan2(b).numpy(), np.arctan2(X[0], X[1]))
    np.testing.assert_allclose(a.lerp(b, 0.25).numpy(), X[0] + 0.25 * (X[1] - X[0]))
    given = tensor([1.0, math.nan, math.inf, -math.inf])
    assert given.nan_to_num(7, 8, -8).tolist() == [1, 7, 8, -8]
    largest = float(np.finfo(np.float32).max)
    assert given.nan_to_num().tolist() == [1, 0, largest, -largest]


def test_clamp():
    x = tensor([-2.0, -1.0, 0.5, 1.0, math.nan]).requires_grad_()
    y = x.clamp(-1, 1)
    assert y.tolist()[:4] == [-1, -1, 0.5, 1]
    assert math.isnan(y.tolist()[4])
    y[:4].sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    assert x.clamp(max=0.0).tolist()[:3] == [-2, -1, 0]
    assert x.clip(min=0).tolist()[:3] == [0, 0, 0.5]
    assert x.clamp(tensor([0.0]), None).tolist()[0] == 0
    with pytest.raises(ArgumentError, match="min, max"):
        x.clamp()


def test_where_sends_the_gradient_to_the_chosen_side():
    a, b = tensor([1.0, 2.0]).requires_grad_(), tensor([3.0]).requires_grad_()
    elementary.where(tensor([True, False]), a, b * 2).sum().backward()
    assert a.grad.tolist() == [1, 0]
    assert b.grad.tolist() == [2]
    with pytest.raises(DTypeError, match="bool condition"):
        elementary.where(tensor([1, 0]), a, b)


# --- the tensor itself ----------------------------------------------------------------------------


def test_what_it_says_about_itself():
    x = tensor([[1.0, 2.0]])
    assert (x.shape, x.ndim, x.size, len(x)) == ((1, 2), 2, 2, 1)
    assert repr(x) == "tensor([[1., 2.]])"
    assert repr(x.to("float64").requires_grad_()) == (
        "tensor([[1., 2.]], dtype=smelt.float64, requires_grad=True)"
    )
    assert f"{tensor(1.25):.1f}" == "1.2"
    assert str(x) == f"{x}" == repr(x)
    with pytest.raises(ShapeError, match="no length"):
        len(tensor(1.0))


def test_leaving_for_python():
    assert tensor(3).item() == int(tensor(3)) == 3
    assert float(tensor([2.5])) == 2.5
    assert [10, 11, 12][tensor(1)] == 11
    assert bool(tensor([True]))
    assert np.asarray(tensor([1, 2])).tolist() == [1, 2]
    assert np.from_dlpack(tensor([1.0, 2.0])).tolist() == [1, 2]
    view = tensor([1.0]).numpy()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 2
    with pytest.raises(ShapeError, match="one element"):
        tensor([1, 2]).item()
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(tensor([1, 2]))
    with pytest.raises(DTypeError, match="index"):
        [1][tensor(0.0)]


def test_assignment_names_the_alternative():
    x = tensor([1.0])
    with pytest.raises(TypeError, match=r"x\.at\[0\]\.set"):
        x[0] = 2


def test_copy_in_place():
    x = tensor([1.0, 2.0]).requires_grad_()
    with pytest.raises(GradientError, match="no_grad"):
        x.copy_(x)
    with no_grad():
        assert x.copy_(tensor([3, 4])) is x
        assert x.tolist() == [3, 4]
        with pytest.raises(ShapeError, match="does not broadcast"):
            x.copy_([1.0, 2.0, 3.0])
        with pytest.raises(ArgumentError, match="shared with NumPy"):
            from_numpy(np.zeros(2)).copy_([1, 2])
    y = x * x
    with no_grad():
        x.copy_([0.0, 0.0])
    with pytest.raises(GradientError, match="changed in place"):
        y.sum().backward()


def test_copies_and_pickles_have_memory_of_their_own():
    x = tensor([1.0, 2.0], requires_grad=True)
    pair = copy.deepcopy([x, x])
    again = pickle.loads(pickle.dumps(x.detach().to("bfloat16")))
    with no_grad():
        x.copy_([5.0, 6.0])
    assert pair[0] is pair[1]
    assert pair[0].requires_grad
    assert pair[0].tolist() == again.tolist() == [1, 2]
    assert again.dtype is dtypes.bfloat16
    y = x.clone()
    (y * y).sum().backward()
    assert x.grad.tolist() == [10, 12]
    with no_grad():
        x.copy_([0.0, -0.0])
    assert y.tolist() == [5, 6]
    assert x.half().clone().dtype is dtypes.float16
    assert copy.copy(y).tape_entry is y.tape_entry
    with pytest.raises(GradientError, match="detach"):
        copy.deepcopy(y)


def test_short_names():
    x = tensor([0.0, 2.5])
    kinds = [x.double(), x.float(), x.half(), x.long(), x.int(), x.bool()]
    assert [y.dtype.name for y in kinds] == [
        "float64", "float32", "float16", "int64", "int32", "bool",
    ]  # fmt: skip
    assert x.contiguous() is x
    assert (x.numel(), x.dim()) == (2, 1)


def test_history_is_refused_where_it_makes_no_sense():
    with pytest.raises(DTypeError, match="only float"):
        tensor([1]).requires_grad_()
    y = tensor([1.0]).requires_grad_() * 2
    with pytest.raises(GradientError, match="detach"):
        y.requires_grad_(False)
    assert not y.detach().requires_grad


def test_a_tensor_is_a_leaf_of_trees_and_hashable():
    x = as_tensor([1.0])
    assert tree.flatten({"a": x})[0] == [x]
    assert x in {x}
    assert isinstance(x, Tensor)


def test_traced_tensors_have_no_value():
    compiler = pytest.importorskip("smelt.compiler.frontend.step")
    for ask in (bool, float, lambda x: x.allclose(x), lambda x: x[x > 0], lambda x: f"{x}"):
        with pytest.raises(TraceError, match=r"compiled step|traced|the step runs"):
            compiler.compile(lambda x, ask=ask: x * ask(x))(tensor(2.0))


# --- names that PyTorch's users expect ------------------------------------------------------------


@pytest.mark.parametrize("name", "add sub mul div eq ne lt le gt ge".split())
def test_operators_have_names(name):
    operation = getattr(operator, "truediv" if name == "div" else name)
    x, y = tensor([1.0, 2.0, 3.0]), tensor([3, 2, 1])
    expected = operation(x.numpy(), y.numpy())
    for found in (getattr(x, name)(y), getattr(smelt, name)(x, y)):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert smelt.neg(x).tolist() == x.neg().tolist() == [-1.0, -2.0, -3.0]


def test_isclose_is_numpys():
    x = tensor([1.0, 1.0, math.inf, math.nan, 0.0])
    y = tensor([1.000001, 1.1, math.inf, math.nan, 1e-9])
    for equal_nan in (False, True):
        found = x.isclose(y, equal_nan=equal_nan)
        expected = np.isclose(x.numpy(), y.numpy(), equal_nan=equal_nan)
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("name", "add_ sub_ mul_ div_ zero_ fill_ clamp_ relu_".split())
def test_changes_in_place_name_the_way_out(name):
    with pytest.raises(AssignmentError, match=rf"{name}\(\) is not supported. Write x = .*copy_"):
        getattr(tensor([1.0]), name)(1.0)


def test_there_is_one_device():
    x = tensor([1.0])
    assert x.cpu() is x.to("cpu") is x
    for move in (lambda: x.cuda(), lambda: x.to("cuda:1"), lambda: x.to("mps")):
        with pytest.raises(ArgumentError, match="computes on the CPU"):
            move()


# --- what NumPy and Python make of tensors --------------------------------------------------------


def test_numpys_functions_work_on_the_values():
    x = tensor([[1.0, 2.0], [3.0, 6.0]])
    assert np.sum(x) == 12.0
    assert np.mean(x, axis=0).tolist() == [2.0, 4.0]
    assert np.max(x) == 6.0
    assert np.std(x, ddof=1) == pytest.approx(x.numpy().std(ddof=1))
    assert np.concatenate([x, x]).shape == (4, 2)
    assert isinstance(np.sum(x, axis=0), np.ndarray)


def test_numpys_functions_refuse_traced_tensors():
    with pytest.raises(TraceError, match=r"NumPy's sum\(\) needs the value"):
        smelt.compile(lambda x: x * np.sum(x))(tensor([1.0]))


@pytest.mark.parametrize("given", [None, object(), "text", {"a": 1}, [None]])
def test_what_is_no_number_makes_no_tensor(given):
    with pytest.raises(DTypeError, match=f"of {type(given).__name__}.*: give a number, nested"):
        tensor(given)


def test_a_number_given_to_a_step_is_no_size():
    with pytest.raises(
        TraceError, match="to use it as a size, make it a variable outside the step"
    ):
        smelt.compile(lambda x, n: sum(x for _ in range(n)))(tensor([1.0]), 3)
    with pytest.raises(TraceError, match="tensor of shape \\(2,\\)") as caught:
        smelt.compile(lambda x: bool(x))(tensor([1.0, 2.0]))
    assert "variable outside the step" not in str(caught.value)


@pytest.mark.parametrize("look", [lambda x: x.numpy(), lambda x: x.item(), bool, str, np.sum])
def test_a_traced_tensor_outside_of_its_step_is_a_leak(look):
    kept = []
    smelt.compile(lambda x: kept.append(x * 2))(tensor([1.0]))
    with pytest.raises(
        TraceError, match=r"shape \(1,\).*was used outside its compiled step.*Return it"
    ):
        look(kept[0])


def test_backward_on_what_a_training_step_returned_says_so():
    weight = tensor([1.0], requires_grad=True)

    @smelt.compile
    def step():
        loss = (weight * 2).sum()
        loss.backward()
        return loss

    loss = step()
    with pytest.raises(GradientError, match=r"call backward\(\) inside the step"):
        loss.backward()
