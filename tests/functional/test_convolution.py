"""Convolution, padding and pooling as functions: against plain loops, and what they refuse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.autodiff import gradcheck
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

RANDOM = np.random.default_rng(3)


def drawn(*shape: int) -> smelt.Tensor:
    return smelt.tensor(RANDOM.standard_normal(shape))


# --- convolution ----------------------------------------------------------------------------------


def test_the_books_example_of_a_valid_convolution() -> None:
    image = np.arange(1.0, 17.0).reshape(4, 4)
    assert (F.correlate(image, [[1.0, 0.0], [0.0, -1.0]]).numpy() == -5).all()
    assert (F.convolve(image, [[1.0, 0.0], [0.0, -1.0]], "valid").numpy() == 5).all()


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("length", "taps"), [(7, 3), (6, 4), (5, 1), (4, 4)])
def test_one_axis_is_numpys(mode: str, length: int, taps: int) -> None:
    x, kernel = RANDOM.standard_normal(length), RANDOM.standard_normal(taps)
    np.testing.assert_allclose(F.convolve(x, kernel, mode).numpy(), np.convolve(x, kernel, mode))
    if mode != "same":
        expected = np.correlate(x, kernel, mode)
        np.testing.assert_allclose(F.correlate(x, kernel, mode).numpy(), expected)


def test_integers_stay_integers() -> None:
    y = F.convolve(smelt.tensor([1, 2, 3]), smelt.tensor([1, 1]))
    assert y.dtype is smelt.int64
    assert y.tolist() == [1, 3, 5, 3]


def test_same_padding_puts_the_odd_zero_behind() -> None:
    x, w = smelt.tensor([[[1.0, 2.0, 3.0]]]), smelt.tensor([[[1.0, 10.0]]])
    assert F.conv1d(x, w, padding="same").tolist() == [[[21, 32, 3]]]


def test_an_input_without_a_batch_gives_a_result_without_one() -> None:
    x, w = drawn(2, 5, 6), drawn(3, 2, 3, 3)
    np.testing.assert_array_equal(F.conv2d(x, w).numpy(), F.conv2d(x[None], w)[0].numpy())


def test_half_floats_are_computed_in_float32() -> None:
    x, w = drawn(1, 2, 6).to(smelt.bfloat16), drawn(3, 2, 3).to(smelt.bfloat16)
    y = F.conv1d(x, w)
    assert y.dtype is smelt.bfloat16
    wide = F.conv1d(x.to(smelt.float32), w.to(smelt.float32)).to(smelt.bfloat16)
    np.testing.assert_array_equal(y.numpy(), wide.numpy())


def test_transposed_convolution_is_the_gradient_by_the_input() -> None:
    x, w, settings = drawn(2, 4, 9, 8), drawn(6, 2, 3, 2), {"stride": 2, "padding": 1, "groups": 2}
    x.requires_grad_()
    y = F.conv2d(x, w, **settings)
    g = drawn(*y.shape)
    y.backward(g)
    back = F.conv_transpose2d(g, w, **settings, output_padding=(0, 0))
    np.testing.assert_allclose(back.numpy(), x.grad.numpy()[..., : back.shape[-2], :], atol=1e-12)


@pytest.mark.parametrize(
    ("stride", "dilation", "padding", "more"),
    [
        (1, 1, 0, 0),
        (2, 1, 1, 1),
        (3, 1, 0, 2),
        (4, 1, 1, 0),
        (2, 2, 0, 1),
        (3, 2, 2, 0),
        (5, 1, 0, 4),
    ],
)
def test_each_element_puts_a_kernel_into_the_result(
    stride: int, dilation: int, padding: int, more: int
) -> None:
    x, w = RANDOM.standard_normal((2, 4, 5)), RANDOM.standard_normal((4, 3, 3))
    y = np.zeros((2, 3, 40))
    for n, c, o, p, k in np.ndindex(2, 4, 3, 5, 3):
        y[n, o, p * stride + k * dilation] += x[n, c, p] * w[c, o, k]
    extent = 4 * stride - 2 * padding + 2 * dilation + more + 1
    settings = (None, stride, padding, more, 1, dilation)
    got = F.conv_transpose1d(smelt.tensor(x), smelt.tensor(w), *settings)
    np.testing.assert_allclose(got.numpy(), y[..., padding : padding + extent], atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"stride": 3}, {"padding": (1, 0)}, {"dilation": (2, 1)}, {"groups": 2},
        {"stride": 2, "output_padding": 1, "groups": 2, "dilation": 2, "padding": (2, 0)},
    ],
)  # fmt: skip
def test_one_position_is_transposed_as_the_middle_of_more(settings: dict) -> None:
    x, w = drawn(3, 4, 1, 1), drawn(4, 6, 3, 2)
    around = F.pad(x, (1, 1, 1, 1))  # zeros that add nothing, and make three positions
    more = F.conv_transpose2d(around, w, **settings)
    step = settings.get("stride", 1)
    alone = F.conv_transpose2d(x, w, **settings)
    middle = more[:, :, step : step + alone.shape[2], step : step + alone.shape[3]]
    np.testing.assert_allclose(alone.numpy(), middle.numpy(), atol=1e-12)
    gradcheck(lambda x, w: F.conv_transpose2d(x, w, **settings), x, w)


@pytest.mark.parametrize("settings", [{"padding": 1}, {"stride": 2}, {"dilation": 2, "groups": 2}])
def test_gradients_to_second_order(settings: dict) -> None:
    w = drawn(2, 2 // settings.get("groups", 1), 2, 2)
    gradcheck(lambda x, w, b: F.conv2d(x, w, b, **settings), drawn(1, 2, 4, 3), w, drawn(2))


def test_each_example_has_a_kernel_of_its_own_under_vmap() -> None:
    x, w = drawn(3, 2, 2, 6), drawn(3, 4, 2, 3)
    each = [F.conv1d(x[n], w[n], stride=2).numpy() for n in range(3)]
    got = smelt.vmap(lambda x, w: F.conv1d(x, w, stride=2))(x, w)
    np.testing.assert_allclose(got.numpy(), np.stack(each))


X, W = smelt.ones(2, 4, 5, 6), smelt.ones(8, 4, 3, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.conv2d(X, smelt.ones(8, 4, 7, 3)), ShapeError, r"\(7, 3\).*larger.*\(5, 6\)"),
        (lambda: F.conv2d(X, W, dilation=3), ShapeError, r"covers \(7, 7\)"),
        (lambda: F.conv2d(X, smelt.ones(8, 3, 3, 3)), ShapeError, "4 channels.*takes 3"),
        (lambda: F.conv2d(X, W, groups=3), ShapeError, "3 groups do not divide the weight's 8"),
        (lambda: F.conv2d(X, W, groups=0), ShapeError, "0 groups"),
        (lambda: F.conv2d(X, W, stride=0), ArgumentError, "stride.*at least 1, got 0"),
        (lambda: F.conv2d(X, W, stride=(1, 2, 3)), ArgumentError, "stride"),
        (lambda: F.conv2d(X, W, padding=-1), ArgumentError, "padding.*at least 0, got -1"),
        (lambda: F.conv2d(X, W, padding="full"), ArgumentError, "'full'"),
        (lambda: F.conv2d(X, W, stride=2, padding="same"), ArgumentError, "stride 1"),
        (
            lambda: F.conv2d(X, W, smelt.ones(4)),
            ShapeError,
            r"bias must have shape \(8,\).*got \(4,\)",
        ),
        (lambda: F.conv2d(X[0, 0], W), ShapeError, r"\(N, C, H, W\).*\(5, 6\)"),
        (lambda: F.conv2d(X, W[0]), ShapeError, "4 axes"),
        (lambda: F.conv2d(X.to(smelt.float64), W), DTypeError, "float64.*float32"),
        (lambda: F.conv_transpose2d(X, W), ShapeError, r"4 channels.*\(C, O, ...\), takes 8"),
        (lambda: F.conv_transpose2d(X, W[:4], groups=3), ShapeError, "3 groups do not divide"),
        (
            lambda: F.conv_transpose2d(X, W[:4], padding=9),
            ShapeError,
            "would give an output.*padding",
        ),
        (lambda: F.conv2d(X, W, groups=2), ShapeError, r"\(O, C / 2 groups, ...\), takes 8"),
        (lambda: F.conv2d(X[0, :2], W[:, :1]), ShapeError, r"\(C, H, W\), has 2.*x.unsqueeze\(1\)"),
        (lambda: F.conv2d(X.permute(0, 2, 3, 1), W), ShapeError, r"x.permute\(0, 3, 1, 2\)"),
        (lambda: F.conv1d(X[0, 0], W[:, :, 0]), ShapeError, r"has 5 channels, but .*takes 4\n"),
        (lambda: F.conv_transpose2d(X, W[:4], output_padding=1), ArgumentError, "output_padding"),
        (lambda: F.convolve(X, W[0, 0]), ShapeError, "same number of axes"),
        (lambda: F.convolve([1.0], [1.0], "some"), ArgumentError, "'some'"),
        (lambda: F.correlate([1.0], [1.0, 2.0]), ShapeError, "covers"),
    ],
)
def test_what_does_not_fit_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# --- padding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_own_elements_are_added_as_numpy_does(mode: str, numpys: str) -> None:
    x = RANDOM.standard_normal((2, 4, 3))
    expected = np.pad(x, [(0, 0), (3, 1), (2, 0)], mode=numpys)
    np.testing.assert_array_equal(F.pad(smelt.tensor(x), (2, 0, 3, 1), mode).numpy(), expected)


def test_constants_are_added_and_elements_cut_off() -> None:
    x = smelt.tensor([[1.0, 2.0, 3.0]])
    assert F.pad(x, (1, -1), value=-np.inf).tolist() == [[-np.inf, 1, 2]]
    assert F.pad(x, (0, 0, 1, 0)).tolist() == [[0, 0, 0], [1, 2, 3]]
    assert F.pad(x, (-1, -1)).tolist() == [[2]]


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_gradients_of_padding(mode: str) -> None:
    gradcheck(lambda x: F.pad(x, (2, 1), mode, 0.0), drawn(2, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((1,),), ArgumentError, "two whole numbers"),
        (((1, 1.5),), ArgumentTypeError, "must be a whole number"),
        (((1, 1), "mirror"), ArgumentError, "'mirror'"),
        (((0, 0, 0, 0, 1, 1),), ShapeError, "more axes"),
        (((3, 0), "reflect"), ShapeError, "axis 1"),
        (((4, 0), "circular"), ShapeError, "axis 1"),
        (((-2, -2),), ShapeError, "would remove more"),
    ],
)
def test_padding_that_does_not_fit_is_refused(arguments, error, message: str) -> None:
    with pytest.raises(error, match=message):
        F.pad(smelt.ones(2, 3), *arguments)


# --- pooling --------------------------------------------------------------------------------------


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    x = smelt.tensor([[[[1.0, 3.0, 0.0], [3.0, 3.0, 0.0], [3.0, 0.0, 0.0]]]]).requires_grad_()
    y, place = F.max_pool2d(x, 2, stride=1, return_indices=True)
    assert y.tolist() == [[[[3, 3], [3, 3]]]]
    assert place.tolist() == [[[[1, 1], [3, 4]]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[[0, 2, 0], [1, 1, 0], [0, 0, 0]]]]


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_nan_is_the_largest_number_and_padding_none(engine: str) -> None:
    def pooled(x: smelt.Tensor) -> smelt.Tensor:
        return F.max_pool1d(x, 3, 2, padding=1)

    run = smelt.compile(pooled) if engine == "compiled" else pooled
    x = smelt.tensor([[[-np.inf, -5.0, -np.inf, np.nan, 2.0, -3.0]]])
    np.testing.assert_array_equal(run(x).numpy(), [[[-5, np.nan, np.nan]]])


def test_large_windows_find_the_first_maximum_too() -> None:
    x = smelt.tensor(RANDOM.integers(0, 4, (2, 3, 12, 10)).astype(np.float64)).requires_grad_()
    y = F.max_pool2d(x, (6, 5))
    w = drawn(*y.shape)
    (y * w).sum().backward()
    expected = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(y.shape):
        window = x.numpy()[n, c, 6 * i : 6 * i + 6, 5 * j : 5 * j + 5]
        k, m = divmod(int(window.argmax()), 5)
        expected[n, c, 6 * i + k, 5 * j + m] += w.numpy()[n, c, i, j]
    np.testing.assert_array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "dilation"),
    [(70, 70, 0, 1), (130, 7, 30, 1), (67, 50, 10, 3)],
)
def test_long_windows_find_the_first_maximum_too(
    kernel_size: int, stride: int, padding: int, dilation: int
) -> None:
    x = RANDOM.integers(0, 30, (1, 2, 300)).astype(np.float64)
    settings = (kernel_size, stride, padding, dilation)
    y, place = F.max_pool1d(smelt.tensor(x), *settings, return_indices=True)
    assert y.shape[2] == (300 + 2 * padding - (kernel_size - 1) * dilation - 1) // stride + 1
    for c, p in np.ndindex(2, y.shape[2]):
        taps = p * stride - padding + dilation * np.arange(kernel_size)
        taps = taps[(taps >= 0) & (taps < 300)]
        assert place.numpy()[0, c, p] == taps[x[0, c, taps].argmax()]
        assert y.numpy()[0, c, p] == x[0, c, taps].max()


def test_indices_of_uneven_parts() -> None:
    x = drawn(2, 7, 5)
    y, place = F.adaptive_max_pool2d(x, (3, 2), return_indices=True)
    np.testing.assert_array_equal(
        np.take_along_axis(x.numpy().reshape(2, 35), place.numpy().reshape(2, 6), 1).reshape(
            2, 3, 2
        ),
        y.numpy(),
    )
    for n, i, j in itertools.product(range(2), range(3), range(2)):
        part = x.numpy()[n, 7 * i // 3 : -(-7 * (i + 1) // 3), 5 * j // 2 : -(-5 * (j + 1) // 2)]
        assert y.numpy()[n, i, j] == part.max()


def test_averages_count_what_they_are_told_to() -> None:
    x = smelt.ones(1, 1, 4)
    assert F.avg_pool1d(x, 2, padding=1).tolist() == [[[0.5, 1, 0.5]]]
    assert F.avg_pool1d(x, 2, padding=1, count_include_pad=False).tolist() == [[[1, 1, 1]]]
    image = smelt.ones(1, 4, 4)
    assert F.avg_pool2d(image, 2, divisor_override=8).tolist() == [[[0.5, 0.5], [0.5, 0.5]]]


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool2d(x, 2, 1, 1),
        lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        lambda x: F.avg_pool2d(x, 2, 1, 1),
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        lambda x: F.adaptive_max_pool2d(x, (3, 2)),
    ],
)
def test_gradients_of_pooling_to_second_order(pool) -> None:
    gradcheck(lambda x: pool(x) ** 2, drawn(2, 4, 5))


@pytest.mark.parametrize("dtype", [smelt.float16, smelt.bfloat16])
def test_half_floats_are_pooled(dtype) -> None:
    x = drawn(1, 4, 4).to(dtype)
    for y in (F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 3)):
        assert y.dtype is dtype
    assert F.max_pool2d(x, 4).item() == x.max().item()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.max_pool2d(X, 7), ShapeError, r"\(7, 7\).*larger.*\(5, 6\)"),
        (lambda: F.max_pool2d(X, 2, padding=2), ArgumentError, "half"),
        (lambda: F.max_pool2d(X, 0), ArgumentError, "kernel_size"),
        (lambda: F.max_pool2d(X, 2, stride=-1), ArgumentError, "stride"),
        (lambda: F.max_pool1d(X, 2), ShapeError, r"\(N, C, L\)"),
        (
            lambda: F.max_pool1d(smelt.ones(1, 1, 1), 2, 1, 1, 2),
            ArgumentError,
            "contains none of the 1",
        ),
        (lambda: F.avg_pool2d(X, 2, divisor_override=0), ArgumentError, "divisor_override"),
        (lambda: F.avg_pool2d(X > 0, 2), DTypeError, "bool"),
        (lambda: F.adaptive_avg_pool2d(X, (2, 2, 2)), ArgumentError, "output_size"),
        (lambda: F.adaptive_max_pool2d(X, 0), ArgumentError, "output_size"),
        (lambda: F.adaptive_max_pool2d(X[..., :0], 1), ShapeError, "empty"),
    ],
)
def test_windows_that_do_not_fit_are_refused(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
