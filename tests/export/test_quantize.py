"""Quantized models: the same integers eagerly, compiled and in C, near the float32 ones."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import export, nn, optim
from smelt.data import load_digits
from smelt.errors import ArgumentError, CompileError, DTypeError, ShapeError
from smelt.export.quantization.fixed_point import (
    combined,
    fixed_point,
    fixed_point_terms,
    requantized,
)
from smelt.export.quantization.ranges import Range
from tests.export.c_targets import TARGETS
from tests.export.quantize_zoo import NETWORKS, network, samples

needs_gcc = pytest.mark.skipif(bool(TARGETS["gcc"].missing), reason="there is no gcc here")


def quantized(x: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(np.rint(x / scale), -127, 127).astype(np.int8)


# --- the same integers everywhere -----------------------------------------------------------------


@needs_gcc
@pytest.mark.parametrize("name", NETWORKS)
def test_eager_compiled_and_c_give_the_same_integers(name: str, tmp_path: Path) -> None:
    model = export.quantize(network(name), samples(name, 100))
    inputs = quantized(3 * samples(name, 5, seed=1), model.input_scales[0])  # many saturate
    with smelt.settings(compile=False):
        eager = model.forward_int8(inputs).numpy()
    assert eager.dtype == np.int8
    assert len(np.unique(eager)) > 5
    native = smelt.compile(model.forward_int8)(inputs).numpy()
    np.testing.assert_array_equal(native, eager)
    made = export.to_c(model.forward_int8, tmp_path, inputs, name="net")
    _, results, _ = TARGETS["gcc sanitized"].program(made)([(inputs,)])
    np.testing.assert_array_equal(results[0][0], eager)


@needs_gcc
@pytest.mark.parametrize("name", ["normalized", "residual"])
def test_floats_in_and_out_have_the_same_bits(name: str, tmp_path: Path) -> None:
    model = export.quantize(network(name), samples(name, 100))
    x = 2 * samples(name, 3, seed=1)
    x[0].flat[:3] = np.inf, -np.inf, np.nan
    eager = model(x).numpy()
    assert smelt.compile(lambda x: model(x))(x).numpy().tobytes() == eager.tobytes()
    made = export.to_c(model, tmp_path, x, name="net")
    _, results, _ = TARGETS["gcc"].program(made)([(x,)])
    assert results[0][0].tobytes() == eager.tobytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_near_those_of_the_model(name: str) -> None:
    floats = network(name)
    model = export.quantize(floats, samples(name, 200))
    x = samples(name, 50, seed=2)
    wanted = floats.eval()(smelt.tensor(x)).numpy()
    error = model(x).numpy() - wanted
    assert np.sqrt(np.mean(error**2)) < 0.05 * np.sqrt(np.mean(wanted**2))


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_any_number_of_samples(count: int) -> None:
    model = export.quantize(network("residual"), samples("residual", 80))
    x = samples("residual", 64)
    np.testing.assert_array_equal(model(x[:count]).numpy(), model(x).numpy()[:count])
    compiled = smelt.compile(lambda x: model(x), dynamic={"x": {0: "n"}})
    np.testing.assert_array_equal(compiled(x[:count]).numpy(), model(x).numpy()[:count])


def test_what_is_left_of_a_classifier_is_int8(tmp_path: Path) -> None:
    model = export.quantize(network("separable"), samples("separable", 50))
    kinds = {name: str(x.dtype) for name, x in model.state_dict().items()}
    assert kinds["layers.0.weight"] == "smelt.int8"
    assert kinds["layers.0.bias"] == kinds["layers.0.output.multiplier"] == "smelt.int32"
    assert not list(model.parameters())
    made = export.to_c(model.forward_int8, tmp_path, np.zeros((1, 1, 9, 9), np.int8))
    source = Path(made.source).read_text()
    assert "float" not in source.split("typedef", 1)[1]
    # planes of 8 by 5 by 5, padded to 7 by 7
    assert made.state_bytes <= 8 * 7 * 7 + 8 * 5 * 5 + 4 * 16
    assert sum(made.flash.values()) <= model.report.bytes_after + 64


def test_the_state_can_be_saved(tmp_path: Path) -> None:
    floats, x = network("signal"), samples("signal", 50)
    model = export.quantize(floats, x)
    smelt.save(model.state_dict(), tmp_path / "signal.safetensors")
    other = export.quantize(network("signal"), x)
    with smelt.no_grad():
        for tensor in other.buffers():
            tensor.copy_(smelt.zeros_like(tensor))
    other.load_state_dict(smelt.load(tmp_path / "signal.safetensors"))
    np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())


# --- accuracy -------------------------------------------------------------------------------------


def trained(model: nn.Module, epochs: int, learning_rate: float = 3e-3) -> nn.Module:
    """Returns a network trained on the digits."""
    images, labels = load_digits("train")
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step.over(images, labels, batch_size=64, shuffle=True, epochs=epochs)
    return model.eval()


def test_digits_perceptron() -> None:
    smelt.manual_seed(0)
    model = trained(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), 15
    )
    images = load_digits("train")[0]
    report = export.quantize(model, images[:300], evaluate=load_digits("test")).report
    assert report.score_before is not None
    assert report.score_after is not None
    assert report.score_before > 0.94
    assert report.score_after >= report.score_before - 0.006
    assert report.bytes_before == 4 * (64 * 64 + 64 + 64 * 10 + 10)
    assert report.bytes_after == 64 * 64 + 64 * 10 + 2 * 4 * (64 + 10)
    assert "score: 0.9" in str(report)


def test_digits_convolutions() -> None:
    smelt.manual_seed(0)
    network = nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    model = trained(network, 10)
    images = load_digits("train")[0]
    for options in ({}, {"method": "percentile", "percentile": 99.9}):
        report = export.quantize(
            model, images[:300], evaluate=load_digits("test"), **options
        ).report
        assert report.score_before > 0.95
        assert report.score_after >= report.score_before - 0.009


def test_evaluate_may_be_a_function() -> None:
    model = network("perceptron")
    x = samples("perceptron", 20)
    report = export.quantize(
        model, x, evaluate=lambda one: float(one(smelt.tensor(x)).sum())
    ).report
    assert report.score_before != report.score_after
    assert report.score_after == pytest.approx(report.score_before, abs=2)
    assert model.training  # and has its mode back


# --- what is done with operations -----------------------------------------------------------------


def kinds(model: export.QuantizedModule) -> list[str]:
    return [one.kind for one in model.report.layers]


def test_normalization_and_relu_are_folded() -> None:
    assert kinds(export.quantize(network("separable"), samples("separable", 20))) == [
        "convolution", "convolution", "convolution", "sum", "linear",
    ]  # fmt: skip


def test_a_channel_of_zeros_keeps_its_bias() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    with smelt.no_grad():
        model[1].weight.copy_(smelt.tensor([0.0, 1.0, 1e-12]))
        model[1].bias.copy_(smelt.tensor([0.75, 0.0, -0.5]))
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_allclose(
        export.quantize(model, x)(x).numpy(), model(smelt.tensor(x)).numpy(), atol=0.03
    )


def test_a_table_is_rounded_once_and_saturates() -> None:
    model = export.quantize(lambda x: F.silu(x) @ smelt.eye(2), np.array([[-4.0, 3.0]], np.float32))
    scale_in = 4 / 127
    x = np.arange(-127, 128) * scale_in
    silu = x / (1 + np.exp(-x))
    scale = 3 / (1 + np.exp(-3.0)) / 127
    table = next(one for name, one in model.layers.items() if "table" in name).table.numpy()
    np.testing.assert_array_equal(table[1:], np.clip(np.rint(silu / scale), -127, 127))


def test_softmax_stays_float_behind_the_last_product() -> None:
    layer = nn.Linear(6, 4)
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    for function in (F.softmax, F.log_softmax):
        model = export.quantize(lambda x, f=function: f(layer(x), -1), x)
        logits = export.quantize(lambda x: layer(x), x)
        np.testing.assert_allclose(
            model(x).numpy(), function(logits(x), -1).numpy(), rtol=1e-5, atol=1e-6
        )
        assert model.output_scales == (None,)
        assert any(one.startswith("exp") for one in model.report.float_operations)
        with pytest.raises(ArgumentError, match="computed in float32, by .*exp"):
            model.forward_int8(np.zeros((1, 6), np.int8))


def test_a_function_of_one_number_at_the_end_stays_float() -> None:
    layer = nn.Linear(6, 4)
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    model = export.quantize(lambda x: F.gelu(layer(x)), x)
    logits = export.quantize(lambda x: layer(x), x)
    np.testing.assert_allclose(model(x).numpy(), F.gelu(logits(x)).numpy(), rtol=1e-5, atol=1e-6)
    assert kinds(model) == ["linear"]
    bounded = export.quantize(lambda x: F.relu6(layer(x)), x)
    assert bounded.output_scales[0] is not None
    assert (bounded(x).numpy() >= 0).all()


def test_what_stays_float_is_quantized_again() -> None:
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4))
    x = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    made = export.quantize(model, x, keep_float=True)
    wanted = model(smelt.tensor(x)).numpy()
    assert np.abs(made(x).numpy() - wanted).max() < 0.1 * np.abs(wanted).max()
    assert "sqrt in sequential.1" in made.report.float_operations
    assert kinds(made) == ["linear", "linear"]
    assert made.forward_int8(np.zeros((2, 6), np.int8)).dtype is smelt.int8


def test_results_keep_their_structure() -> None:
    layer = nn.Linear(3, 2)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    y = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)
    made = export.quantize(lambda x, y: {"sum": layer(x) + y, "pair": (y, layer(x))}, [(x, y)])
    results = made(x, y)
    assert sorted(results) == ["pair", "sum"]
    np.testing.assert_allclose(results["pair"][0].numpy(), y, atol=0.02)
    np.testing.assert_allclose(results["sum"].numpy(), layer(smelt.tensor(x)).numpy() + y, atol=0.1)


def test_a_model_that_asks_for_the_number_of_samples_has_one() -> None:
    def function(x: smelt.Tensor) -> smelt.Tensor:
        return smelt.stack([x[number] @ smelt.eye(3) for number in range(x.shape[0])])

    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    made = export.quantize(function, x)
    np.testing.assert_allclose(made(x).numpy(), x, atol=0.05)
    with pytest.raises(ArgumentError, match="quantized for 4 samples at a time"):
        made(x[:3])


# --- scales ---------------------------------------------------------------------------------------


def test_scales_of_batches_are_those_of_all() -> None:
    model, x = network("perceptron"), samples("perceptron", 90)
    whole = export.quantize(model, x)
    parts = export.quantize(model, [x[:40], smelt.tensor(x[40:])])
    assert whole.input_scales == parts.input_scales == (float(np.abs(x).max()) / 127,)
    assert whole.output_scales == parts.output_scales


def test_a_percentile_leaves_outliers_out() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32)
    x[0, 0] = 100.0
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    made = export.quantize(model, x, method="percentile", percentile=99.9)
    assert made.input_scales[0] == pytest.approx(np.quantile(np.abs(x), 0.999) / 127, rel=0.02)
    assert all(0 < one.saturation < 0.002 for one in made.report.layers)
    assert export.quantize(model, x).report.layers[0].saturation == 0


def test_ranges_count_in_bins_that_grow() -> None:
    x = np.abs(np.random.default_rng(0).normal(size=30_000)).astype(np.float32)
    found = Range(99.0)
    for part in np.array_split(np.sort(x), 30):
        found.see(part, "x")
    assert found.bound == pytest.approx(np.quantile(x, 0.99), rel=0.01)
    assert found.saturation == pytest.approx(0.01, abs=0.001)
    nothing = Range(99.0)
    nothing.see(np.zeros(5), "x")
    assert (nothing.bound, nothing.saturation) == (0.0, 0.0)


@pytest.mark.parametrize("factor", [3e-7, 0.0021, 0.49999, 0.5, 0.99999999, 1.7, 900.0])
def test_fixed_point_is_the_nearest_integer(factor: float) -> None:
    multiplier, shift = fixed_point(np.array(factor))
    largest = (1 << 30) - 1
    totals = np.random.default_rng(0).integers(-largest, largest, 2000)
    totals[:4] = largest, -largest, 0, 1
    totals[1000:] = totals[1000:] % 4001 - 2000
    result = requantized(
        smelt.tensor(totals.astype(np.int32)), smelt.tensor(multiplier), shift, -127, 127
    )
    exact = [
        np.floor(Fraction(int(total) * int(multiplier), 2**shift) + Fraction(1, 2))
        for total in totals
    ]
    np.testing.assert_array_equal(result.numpy(), np.clip(np.array(exact, float), -127, 127))
    assert float(multiplier) / 2**shift == pytest.approx(factor, rel=2**-30)


def test_sums_of_scaled_integers_fit() -> None:
    factors = [np.array(1.3), np.array([0.01, 40.0])]
    (first, second), offset, shift = fixed_point_terms(factors, np.array(-3.0))
    for a in (-127, 0, 127):
        for b in (-127, 127):
            total = a * first.astype(object) + b * second.astype(object) + int(offset)
            assert np.abs(total).max() < 2**29
            result = combined(smelt.tensor(np.array(total, np.int32)), shift, -127, 127)
            exact = a * factors[0] + b * factors[1] - 3.0
            np.testing.assert_allclose(result.numpy(), np.clip(exact, -127, 127), atol=0.51)


# --- what bad input gets --------------------------------------------------------------------------


def line_of(function: Callable[..., Any]) -> str:
    return f"test_quantize.py:{function.__code__.co_firstlineno}"


class Normalized(nn.Module):
    def __init__(self) -> None:
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.head(self.norm(x))


X = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
W = smelt.eye(4)


def test_what_has_no_integer_form_is_named() -> None:
    with pytest.raises(CompileError) as caught:
        export.quantize(Normalized(), X)
    message = str(caught.value)
    assert message.startswith("quantize: sub combines a tensor with its own mean or maximum")
    assert "\n  in module normalized.norm" in message
    assert f"test_quantize.py:{Normalized.forward.__code__.co_firstlineno + 1}" in message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: (x / x.sum(1, keepdim=True)) @ W, "div divides by what depends on the inputs"),
        (lambda x: smelt.maximum(x, x[:, :1]) @ W, "maximum has no integer form"),
        (lambda x: smelt.cumsum(x, 1) @ W, "cumsum has no integer form"),
        (lambda x: F.softmax(x, -1) @ W, "sub combines a tensor with its own"),
        (lambda x: smelt.prod(x, 1, keepdim=True) * x @ W, "prod has no integer form"),
        (lambda x: smelt.scan(lambda c, row: (c + row, c), x[0], x)[1], "scan runs a loop"),
        (lambda x: F.rms_norm(x, 4) @ W, "mul combines a tensor with its own"),
        (lambda x: x.sum(0, keepdim=True) @ W, "sum adds up samples"),
    ],
)
def test_what_cannot_be_quantized(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(CompileError, match=message) as caught:
        export.quantize(function, X)
    assert str(caught.value).endswith(f"/{line_of(function)}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibration": X[:0]}, "the calibration data has no samples"),
        ({"calibration": []}, "the calibration data has no samples"),
        ({"calibration": 3}, "an array of inputs, or an iterable of batches, got int"),
        ({"calibration": [X, X[:, :3]]}, r"inputs of \[\(4,\)\], then of \[\(3,\)\]"),
        ({"calibration": [(X, X[:3])]}, r"the first axis of every input counts samples"),
        ({"calibration": X * np.inf}, "argument is inf or nan on the calibration data"),
        ({"method": "mean"}, "method is one of"),
        ({"method": "percentile", "percentile": 100}, "percentile lies between 0 and 100"),
        ({"model": 3}, "needs a module or a function, got int"),
        ({"evaluate": (X, [1, 2])}, r"evaluate has 9 inputs and \(2,\) labels"),
        ({"evaluate": 3}, r"evaluate is \(inputs, labels\)"),
        ({"model": lambda x: x.long()}, "an input or output is int64"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    given = {"model": nn.Linear(4, 2), "calibration": X} | change
    with pytest.raises(ArgumentError, match=message):
        export.quantize(given.pop("model"), given.pop("calibration"), **given)


def test_sums_beyond_the_accumulator() -> None:
    model = nn.Linear(80_000, 1, bias=False)
    with smelt.no_grad():
        model.weight.copy_(smelt.ones_like(model.weight))
    with pytest.raises(ArgumentError, match=r"may reach 1,290,320,000, beyond the 30 bits"):
        export.quantize(model, np.ones((2, 80_000), np.float32))


def test_a_model_that_changes_a_tensor() -> None:
    counter = smelt.zeros(4)

    def function(x: smelt.Tensor) -> smelt.Tensor:
        counter.copy_(counter + 1)
        return x * counter

    with pytest.raises(CompileError, match=r"quantize: add gives state0 new contents"):
        export.quantize(function, X)


def test_wrong_calls() -> None:
    model = export.quantize(nn.Linear(4, 2), X)
    with pytest.raises(ShapeError, match=r"calibrated on inputs \(N, 4\), got \(9, 3\)"):
        model(X[:, :3])
    with pytest.raises(ArgumentError, match="takes 1 inputs, got 2"):
        model(X, X)
    with pytest.raises(DTypeError, match="forward_int8 takes int8"):
        model.forward_int8(X)
    with pytest.raises(DTypeError, match="takes float32 here, got int8"):
        model(X.astype(np.int8))
    with pytest.raises(ArgumentError, match="a quantized model is for evaluation"):
        model.train()
    assert model.eval() is model
