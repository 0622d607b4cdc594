"""Values at the edges: integers, bools, exact points, corners, shape (), empty axes, long sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.errors import ArgumentError, DTypeError, ShapeError

inf, nan = math.inf, math.nan
INTEGERS, MASK = smelt.tensor([[3, -1, 2], [0, 5, 4]]), smelt.tensor([[True, False, True]])


def both(function: Callable[..., Any], *given: Any) -> list[Any]:
    """The results of eager and of compiled code."""
    return [function(*given), smelt.compile(function)(*given)]


FLOATING: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "softmin": lambda x: F.softmin(x, -1),
    "mean": lambda x: x.mean(),
    "var": lambda x: x.var(),
    "std": lambda x: x.std(1),
    "norm": lambda x: x.norm(),
    "norm of 3": lambda x: x.norm(3),
    "logsumexp": lambda x: x.logsumexp(1),
    "normalize": F.normalize,
    "layer_norm": lambda x: F.layer_norm(x, (3,)),
    "rms_norm": lambda x: F.rms_norm(x, (3,)),
    "group_norm": lambda x: F.group_norm(x, 1),
    "lerp": lambda x: smelt.lerp(x, x, 0.5),
    "reciprocal": smelt.reciprocal,
    "dropout": lambda x: F.dropout(x, 0.5),
    "mse_loss": lambda x: F.mse_loss(x, x),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x * 0),
    "cosine_similarity": lambda x: F.cosine_similarity(x, x),
    "triplet_margin_loss": lambda x: F.triplet_margin_loss(x, x, x),
    "cross_entropy": lambda x: F.cross_entropy(x, smelt.zeros(x.shape[0], dtype=smelt.int64)),
}


@pytest.mark.parametrize("name", FLOATING)
@pytest.mark.parametrize("x", [INTEGERS, INTEGERS.int(), MASK], ids=["int64", "int32", "bool"])
def test_functions_that_make_floats_take_integers(name, x) -> None:
    smelt.manual_seed(0)
    got = FLOATING[name](x)
    smelt.manual_seed(0)
    want = FLOATING[name](x.float())
    assert got.dtype is smelt.float32
    np.testing.assert_array_equal(got.numpy(), want.numpy())


BIG = 2**24 + 1


@pytest.mark.parametrize(
    ("function", "given", "result"),
    [
        (lambda x: x**20, 3, 3**20),
        (lambda x: x**x, 7, 7**7),
        (lambda x: 3**x, 20, 3**20),
        (smelt.floor, BIG, BIG),
        (smelt.ceil, BIG, BIG),
        (smelt.round, BIG, BIG),
        (smelt.trunc, BIG, BIG),
        (smelt.nan_to_num, BIG, BIG),
        (smelt.square, 2**20 + 1, (2**20 + 1) ** 2),
        (F.relu, BIG, BIG),
        (F.relu6, BIG, 6),
        (F.hardtanh, BIG, 1),
        (lambda x: x.clamp(0, 2**40), 2**40 - 1, 2**40 - 1),
        (lambda x: F.pad(x.reshape(1), (0, 1), value=BIG)[1], 0, BIG),
    ],
)
def test_integers_stay_exact(function, given, result) -> None:
    for got in both(function, smelt.tensor(given)):
        assert got.dtype is smelt.int64
        assert got.item() == result


STAY_BOOL: dict[str, Callable[[Any], Any]] = {
    "tril": lambda m: smelt.tril(m.expand(3, 3)),
    "triu": lambda m: smelt.triu(m.expand(3, 3)),
    "maximum": lambda m: smelt.maximum(m, ~m),
    "minimum": lambda m: smelt.minimum(m, m),
    "amax": lambda m: m.amax(1),
    "amin": lambda m: m.amin(1),
    "max": lambda m: m.max(1).values,
    "sum": lambda m: m + m,
    "product": lambda m: m * True,
    "sort": lambda m: m.sort(1).values,
    "sign": smelt.sign,
    "nan_to_num": smelt.nan_to_num,
    "diagonal": lambda m: m.expand(3, 3).diagonal(),
    "pad": lambda m: F.pad(m, (1, 1)),
    "scatter_add": lambda m: m.scatter_add(1, smelt.zeros(1, 3).long(), m),
    "dropout": lambda m: F.dropout(m, 1.0),
}


@pytest.mark.parametrize("name", STAY_BOOL)
def test_bools_stay_bools(name) -> None:
    for got in both(STAY_BOOL[name], MASK):
        assert got.dtype is smelt.bool_
    for got in both(lambda m: ~(m + m), MASK):
        assert got.tolist() == [[False, True, False]]


@pytest.mark.parametrize("dtype", [smelt.float16, smelt.bfloat16], ids=repr)
def test_half_floats_keep_their_dtype(dtype) -> None:
    x = smelt.tensor([1.0, 2.0, 3.0]).to(dtype)
    for function in (
        lambda x: x.cumsum(0), lambda x: x.cumprod(0), lambda x: x**3, smelt.nan_to_num,
        lambda x: x.std(), lambda x: x * smelt.tensor(2.0), lambda x: F.rms_norm(x, (3,)),
    ):  # fmt: skip
        assert {got.dtype for got in both(function, x)} == {dtype}


@pytest.mark.parametrize("dtype", [smelt.float32, smelt.float64], ids=repr)
def test_exact_points(dtype) -> None:
    whole = list(range(-126, 127))
    twos = smelt.tensor([2.0**n for n in whole], dtype=smelt.float64)
    tens = smelt.tensor([10.0**n for n in range(11)], dtype=smelt.float64)
    for got in both(smelt.exp2, smelt.tensor(whole, dtype=dtype)):
        assert got.tolist() == [2.0**n for n in whole]
    for got in both(smelt.log2, twos.to(dtype)):
        assert got.tolist() == whole
    for got in both(smelt.log10, tens.to(dtype)):
        assert got.tolist() == list(range(11))
    for got in both(lambda x: smelt.lerp(x, 0.3, 1.0), tens.to(dtype)):
        assert set(got.tolist()) == set(smelt.tensor([0.3], dtype=dtype).tolist())


def test_hyperbolic_functions_reach_as_far_as_their_results() -> None:
    x = smelt.tensor([89.0, -89.0, 1e-5, 0.0])
    for cosh, sinh in both(lambda x: (smelt.cosh(x), smelt.sinh(x)), x):
        wide = x.numpy().astype(np.float64)
        np.testing.assert_allclose(cosh.numpy(), np.cosh(wide), rtol=1e-6)
        np.testing.assert_allclose(sinh.numpy(), np.sinh(wide), rtol=1e-6)


def test_the_gradient_of_elu_is_as_exact_as_its_value() -> None:
    for got in both(smelt.grad(lambda x: F.elu(x).sum()), smelt.tensor([-10.0, -20.0])):
        np.testing.assert_allclose(got.numpy(), np.exp([-10.0, -20.0]), rtol=1e-6)


def test_infinities_are_close_to_themselves_alone() -> None:
    for got in both(lambda a, b: smelt.isclose(a, b), smelt.tensor([1.0, inf, inf, -inf]),
                    smelt.tensor([inf, inf, -inf, 1.0])):  # fmt: skip
        assert got.tolist() == [False, True, False, False]
    assert not smelt.allclose(smelt.tensor(1.0), inf)
    slope = smelt.grad(lambda x: F.huber_loss(x, smelt.zeros(1), "sum"))(smelt.tensor([inf]))
    assert slope.tolist() == [1.0]


@pytest.mark.parametrize(
    ("function", "at", "first", "second"),
    [
        (lambda x: x.std(), [2.0, 2.0, 2.0], [0.0] * 3, [0.0] * 3),
        (lambda x: x.norm(3), [0.0, 0.0], [0.0] * 2, [0.0] * 2),
        (lambda x: x.norm(1.5), [0.0, 0.0], [0.0] * 2, [0.0] * 2),
        (lambda x: x.norm(0.5), [0.0, 4.0], [0.0, 1.0], None),
        (lambda x: smelt.acos(x).sum(), [1.0, -1.0], [-inf, -inf], [-inf, inf]),
        (lambda x: smelt.asin(x).sum(), [1.0, -1.0], [inf, inf], [inf, -inf]),
        (lambda x: (x**0.0).sum(), [0.0, 2.0, nan], [0.0] * 3, [0.0] * 3),
        (lambda x: (x**1.0).sum(), [0.0, 2.0], [1.0] * 2, [0.0] * 2),
        (lambda x: (x**2.0).sum(), [0.0, 2.0], [0.0, 4.0], [2.0] * 2),
        (lambda x: F.normalize(x, dim=0).sum(), [0.0, 0.0], None, [0.0] * 2),
        (lambda x: F.margin_ranking_loss(x, x.detach(), x.detach() * 0 + 1), [1.0], [-1.0], None),
    ],
)
def test_derivatives_at_corners(function, at, first, second) -> None:
    x = smelt.tensor(at, dtype=smelt.float64)
    slope = smelt.grad(function)
    for got in both(slope, x) if first is not None else []:
        np.testing.assert_array_equal(got.numpy(), first)
    curve = smelt.grad(lambda x: slope(x).sum())
    for got in both(curve, x) if second is not None else []:
        np.testing.assert_array_equal(got.numpy(), second)


def test_a_constant_row_in_a_normalization_trains_on() -> None:
    layer, data = nn.Linear(3, 3), smelt.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    with smelt.no_grad():
        layer.bias.copy_(smelt.zeros(3))

    def loss(weight):
        z = data @ weight.T
        return ((z - z.mean(1, True)) / (z.std(1, keepdim=True) + 1e-5)).pow(3).sum()

    for slope in both(smelt.grad(loss), layer.weight.detach()):
        assert np.isfinite(slope.numpy()).all()


SCALARS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "cumsum": (lambda x: x.cumsum(0), 3.0),
    "cumprod": (lambda x: x.cumprod(-1), 3.0),
    "gather": (lambda x: x.gather(0, smelt.tensor(0)), 3.0),
    "gather two": (lambda x: x.gather(0, smelt.tensor([0, 0])), [3.0, 3.0]),
    "index_select": (lambda x: x.index_select(0, smelt.tensor([0])), 3.0),
    "scatter_add": (lambda x: x.scatter_add(0, smelt.tensor(0), smelt.tensor(2.0)), 5.0),
    "topk": (lambda x: x.topk(1), (3.0, 0)),
    "sort": (lambda x: x.sort(), (3.0, 0)),
    "sum": (lambda x: x.sum(-1), 3.0),
    "flip": (lambda x: x.flip(0), 3.0),
    "argmax": (lambda x: x.argmax(keepdim=True), 0),
    "argmin": (lambda x: x.argmin(0, True), 0),
    "max": (lambda x: x.max(0), (3.0, 0)),
    "transpose": (lambda x: x.transpose(0, -1), 3.0),
    "movedim": (lambda x: x.movedim(0, 0), 3.0),
    "softmax": (lambda x: x.softmax(0), 1.0),
    "logsumexp": (lambda x: x.logsumexp(-1), 3.0),
    "prelu": (lambda x: F.prelu(-x, smelt.tensor([0.5])), -1.5),
    "take": (lambda x: x.take(smelt.tensor([0])), [3.0]),
}


@pytest.mark.parametrize("name", SCALARS)
def test_shape_of_no_axes(name) -> None:
    function, want = SCALARS[name]
    for got in both(function, smelt.tensor(3.0)):
        parts = got if isinstance(got, tuple) else (got,)
        wants = want if isinstance(want, tuple) else (want,)
        assert [part.tolist() for part in parts] == list(wants)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.narrow(0, 0, 1), lambda x: x.split(1), lambda x: x.chunk(1),
        lambda x: x.unbind(0), lambda x: x.roll(1, 0), lambda x: x.diagonal(),
        lambda x: x.take_along_dim(smelt.tensor(0), 0),
    ],
)  # fmt: skip
def test_what_needs_an_axis_says_so(call) -> None:
    with pytest.raises(ShapeError):
        call(smelt.tensor(3.0))


def test_empty_axes() -> None:
    x = smelt.zeros(2, 0)
    for function in (F.softmax, F.log_softmax):
        assert [got.shape for got in both(lambda x, f=function: f(x, 1), x)] == [(2, 0)] * 2
    assert [got.tolist() for got in both(lambda x: x.logsumexp(1), x)] == [[-inf, -inf]] * 2
    q, k = smelt.ones(1, 3, 4), smelt.zeros(1, 0, 4)
    for got in both(lambda q, k: F.scaled_dot_product_attention(q, k, k), q, k):
        assert got.tolist() == smelt.zeros(1, 3, 4).tolist()
    allowed = smelt.zeros(3, 0).bool()
    assert F.scaled_dot_product_attention(q, k, k, attn_mask=allowed).shape == (1, 3, 4)
    assert F.glu(x, 1).shape == (2, 0)
    assert len(x.chunk(2, 1)) == 2
    assert F.group_norm(smelt.zeros(0, 4), 2).shape == (0, 4)
    mean, var = smelt.zeros(3), smelt.ones(3)
    assert F.batch_norm(smelt.zeros(0, 3), mean, var, training=True).shape == (0, 3)
    assert mean.tolist() == [0, 0, 0]


def test_long_sums() -> None:
    tenths = smelt.full((2**22,), 0.1)
    eager, compiled = both(lambda x: x.cumsum(0), tenths)
    assert abs(eager[-1].item() - 419430.4) < 0.1
    np.testing.assert_array_equal(eager.numpy(), compiled.numpy())
    for columns in (smelt.full((2**22, 2), 0.1), smelt.full((2, 2**21, 2), 0.1)):
        count = columns.size / 2 if columns.ndim == 2 else 2**21
        got = columns.sum(-2).numpy()
        np.testing.assert_allclose(got, count * 0.1, rtol=1e-5)
        np.testing.assert_allclose(columns.mean(-2).numpy(), 0.1, rtol=1e-5)


def test_running_products_have_the_same_bits() -> None:
    for axis in (0, 1):
        eager, compiled = both(lambda x, axis=axis: (x.cumsum(axis), x.cumprod(axis)),
                               smelt.randn(300, 17))  # fmt: skip
        for one, other in zip(eager, compiled, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_defaults_are_pytorch_s() -> None:
    x = smelt.tensor([[1e-4, 2e-4]])
    root = math.sqrt(2.5e-8 + np.finfo(np.float32).eps)
    np.testing.assert_allclose(F.rms_norm(x, (2,)).numpy(), x.numpy() / root, rtol=1e-5)
    rows = smelt.tensor([[1.0, 2.0], [4.0, 8.0]])
    for name in ("sum", "mean", "amax", "std", "var", "norm", "prod", "logsumexp"):
        method = getattr(rows, name)
        assert method(dim=[]).tolist() == method(dim=()).tolist() == method().tolist()
    assert rows.std(False).tolist() == rows.std(correction=0).tolist()
    assert rows.var(True).tolist() == rows.var().tolist()
    with pytest.raises(ArgumentError, match="an axis must be an integer"):
        rows.sum(True)


def test_poisson_loss_with_stirlings_term() -> None:
    x, counts = (smelt.tensor([a], dtype=smelt.float64) for a in ([0.5, -1, 2], [0.5, 1, 3]))
    want = [[1.3987212707001282, 1.3678794411714423, 3.153137642473707]]
    for got in both(lambda x: F.poisson_nll_loss(x, counts, full=True, reduction="none"), x):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-14)


def test_kl_div_of_one_number_is_its_own_batch() -> None:
    q = smelt.tensor(0.25, dtype=smelt.float64)
    for got in both(lambda x: F.kl_div(x, q, reduction="batchmean"), smelt.tensor(-0.5).double()):
        np.testing.assert_allclose(got.item(), -0.22157359027997264, rtol=1e-14)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
def test_digits_behind_the_point_keep_the_dtype_of_one_number(name) -> None:
    for decimals in (2, -1):
        for got in both(lambda x, d=decimals: x.round(decimals=d), smelt.tensor(-8.5).to(name)):
            assert got.dtype.name == name


@pytest.mark.parametrize("call", [smelt.mean, F.softmax, F.softmin, F.log_softmax])
def test_what_makes_floats_has_no_integer_dtype(call) -> None:
    assert call(INTEGERS, 0, dtype=smelt.float64).dtype is smelt.float64
    with pytest.raises(DTypeError, match="must be a float dtype, got int64"):
        call(INTEGERS * 0.5, 0, dtype=smelt.int64)


INT, HALF = smelt.tensor([1, 2]), smelt.tensor([0.5, 0.5])
LOSSY: dict[str, Callable[[], Any]] = {
    "at set": lambda: INT.at[smelt.tensor([0, 1])].set(HALF),
    "at slice": lambda: INT.at[:].set(HALF),
    "at add": lambda: INT.at[smelt.tensor([0, 1])].add(HALF),
    "at of bools": lambda: (INT > 1).at[:].set(INT),
    "scatter_add": lambda: INT.scatter_add(0, INT - 1, HALF),
    "conv1d": lambda: F.conv1d(INT.reshape(1, 1, 2), INT.reshape(1, 1, 2), HALF[:1]),
    "conv2d": lambda: F.conv2d(
        smelt.ones(1, 1, 2, 2), smelt.ones(1, 1, 1, 1), HALF[:1].to(smelt.float64)
    ),
    "conv_transpose1d": lambda: F.conv_transpose1d(
        INT.reshape(1, 1, 2), INT.reshape(1, 1, 2), HALF[:1]
    ),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_tensor_is_never_cut_to_fit_a_narrower_kind(name) -> None:
    with pytest.raises(DTypeError, match="dtype"):
        LOSSY[name]()
    with pytest.raises(DTypeError, match="dtype"):
        smelt.compile(LOSSY[name])()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.isclose(x, rtol=-0.1), ArgumentError, "atol must not be negative"),
        (lambda x: x.allclose(x, atol=-0.1), ArgumentError, "atol must not be negative"),
        (lambda x: F.hardtanh(x, 1.0, -1.0), ArgumentError, "above max_val"),
        (lambda x: x.roll(()), ArgumentError, "shifts is empty"),
        (lambda x: smelt.linspace(x, 3.0, 4), ShapeError, "start must be one number"),
        (lambda x: smelt.linspace(3.0, x, 4), ShapeError, "end must be one number"),
    ],
)
def test_settings_that_mean_nothing(call, error, words) -> None:
    with pytest.raises(error, match=words):
        call(smelt.ones(2))


@pytest.mark.parametrize("change", [
    lambda x: x.at[0].set(2.5), lambda x: x.at[0].add(0.5), lambda x: x.masked_fill(x > 0, 1.5),
    lambda x: x.at[smelt.tensor([0])].set([0.25]),
])  # fmt: skip
def test_fractions_are_not_cut_into_integers(change) -> None:
    with pytest.raises(DTypeError, match="int64 elements cannot hold"):
        change(smelt.tensor([1, 2]))


def test_whole_numbers_are_stored_in_integers() -> None:
    assert smelt.tensor([1, 2]).at[0].set(5.0).tolist() == [5, 2]
    assert smelt.tensor([1, 2]).masked_fill(smelt.tensor([True, False]), 3.0).tolist() == [3, 2]
