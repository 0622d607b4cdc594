"""Activations, losses, layers against PyTorch's stored values and gradients, and their errors."""

import math
import pathlib

import numpy as np
import pytest

import smelt
import smelt.functional as F
import smelt.nn.functional
from smelt.autodiff.reverse import grad, value_and_grad
from smelt.creation import tensor
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from smelt.random import Generator
from tests.references.functional_cases import ARRAYS, CASES, ROUGH, cotangent

FOUND = np.load(pathlib.Path(__file__).parents[1] / "references" / "functional.npz")


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_pytorch(name):
    function, arguments, options = CASES[name]
    known = {}

    def given(argument):
        if isinstance(argument, str) and argument in ARRAYS:
            known[argument] = tensor(ARRAYS[argument])
            if not argument.startswith("fixed"):
                known[argument].requires_grad_()
            return known[argument]
        return argument

    positional = [given(argument) for argument in arguments]
    y = getattr(F, function)(*positional, **{key: given(value) for key, value in options.items()})
    np.testing.assert_allclose(y.numpy(), FOUND[name], rtol=1e-12, atol=1e-12)
    (y * tensor(cotangent(y.shape))).sum().backward()
    gradients = {key: x.grad for key, x in known.items() if f"{name} by {key}" in FOUND}
    assert gradients
    close = 1e-7 if name in ROUGH else 1e-11
    for key, gradient in gradients.items():
        expected = FOUND[f"{name} by {key}"]
        np.testing.assert_allclose(gradient.numpy(), expected, close, close, err_msg=key)


def test_every_stored_value_is_compared():
    assert {name.split(" by ")[0] for name in FOUND} == set(CASES)


def test_both_functional_modules_have_the_same_names():
    assert smelt.nn.functional.__all__ == F.__all__
    for name in F.__all__:  # those of the public module explain what is wrong with a call
        public = getattr(smelt.nn.functional, name)
        assert getattr(public, "__wrapped__", public) is getattr(F, name)


COMPILED = [
    "gelu(grid)",
    "elu(grid, alpha=0.7)",
    "logsigmoid(grid)",
    "log_softmax(image, dim=1)",
    "cross_entropy(extreme, fixed_labels, reduction=mean)",
    "cross_entropy(logits, fixed_gaps, fixed_weight, reduction=mean, label_smoothing=0.1)",
    "cross_entropy(image, soft_image, reduction=sum)",
    "binary_cross_entropy_with_logits(extreme, fixed_bits, reduction=none)",
    "binary_cross_entropy(unit, target, reduction=mean)",
    "kl_div(logits, fixed_probability, reduction=batchmean)",
    "cosine_embedding_loss(logits, other, fixed_sign, reduction=none, margin=0.2)",
    "embedding(fixed_ids, table, padding_idx=2)",
    "layer_norm(logits, normalized_shape=(5,), weight=scale, bias=shift)",
    "scaled_dot_product_attention(query, key, value, is_causal=True)",
]


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_agrees_with_pytorch(name):
    compiler = pytest.importorskip("smelt.compiler.frontend.step")
    function, arguments, options = CASES[name]
    given = [a for a in (*arguments, *options.values()) if isinstance(a, str) and a in ARRAYS]

    def loss(known):
        positional = [known[argument] for argument in arguments]
        named = {key: known.get(value, value) for key, value in options.items()}
        y = getattr(F, function)(*positional, **named)
        return (y * tensor(cotangent(y.shape))).sum(), y

    def step(known):
        moving = {key: x for key, x in known.items() if not key.startswith("fixed")}
        (_, y), gradients = value_and_grad(lambda moving: loss(known | moving), has_aux=True)(
            moving
        )
        return y, gradients

    y, gradients = compiler.compile(step)({key: tensor(ARRAYS[key]) for key in given})
    np.testing.assert_allclose(y.numpy(), FOUND[name], rtol=1e-11, atol=1e-11)
    for key, gradient in gradients.items():
        expected = FOUND[f"{name} by {key}"]
        np.testing.assert_allclose(gradient.numpy(), expected, 1e-10, 1e-10, err_msg=key)


def test_compiled_labels_are_checked():
    compiler = pytest.importorskip("smelt.compiler.frontend.step")
    step = compiler.compile(lambda x, y: F.cross_entropy(x, y))
    x = tensor(np.zeros((2, 3)))
    assert step(x, tensor([0, -100])).item() == pytest.approx(math.log(3))
    with pytest.raises(BoundsError, match="3 classes"):
        step(x, tensor([0, 3]))


def test_step_and_identity():
    x = tensor([-1.0, 0.0, 2.0])
    assert F.step(x).tolist() == [0, 1, 1]
    assert F.identity(x) is x


def test_batch_norm_moves_its_statistics():
    x = tensor(np.random.default_rng(0).normal(size=(7, 3)))
    mean, var = tensor(np.zeros(3)), tensor(np.ones(3))
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean.numpy(), 0.25 * x.numpy().mean(0))
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * x.numpy().var(0, ddof=1))


def test_dropout_keeps_the_mean_and_scales():
    x = F.one_hot(tensor([0] * 20000), 2).to("float32").requires_grad_()
    y = F.dropout(x, 0.25, generator=Generator(7))
    kept = y.numpy()[:, 0]
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((kept > 0).mean() - 0.75) < 0.01
    assert F.dropout(x, 0.25, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert not F.dropout(x, 1.0).numpy().any()


def test_dropout_draws_anew_and_repeats_by_seed():
    x = tensor(np.ones(64))
    source = Generator(1)
    first, second = (F.dropout(x, generator=source).numpy() for _ in range(2))
    assert (first != second).any()
    assert (first == F.dropout(x, generator=Generator(1)).numpy()).all()


def test_squared_error_and_hinge():
    x, y = tensor([1.0, 3.0]), tensor([2.0, -1.0])
    assert F.squared_error(x, y, reduction="none").tolist() == [0.5, 8.0]
    assert F.hinge_loss(tensor([0.5, 2.0]), tensor([1.0, -1.0]), "none").tolist() == [0.5, 3.0]


@pytest.mark.parametrize("at", [0.0, -3.0, 5.0])
def test_second_derivative_of_softplus_is_right_at_0_too(at):
    second = grad(grad(lambda x: F.softplus(x).sum()))
    s = 1 / (1 + math.exp(-at))
    assert second(tensor(np.array(at))).item() == pytest.approx(s * (1 - s), rel=1e-12)


def test_losses_stay_finite_where_probabilities_are_0_and_1():
    p = tensor(np.array([0.0, 1.0, 0.0, 1.0])).requires_grad_()
    loss = F.binary_cross_entropy(p, tensor(np.array([1.0, 0.0, 0.0, 1.0])), reduction="none")
    assert loss.tolist() == [100.0, 100.0, 0.0, 0.0]
    loss.sum().backward()
    assert np.isfinite(p.grad.numpy()).all()


def test_masked_logits_contribute_nothing():
    x = tensor(np.array([[0.5, -np.inf, 1.0]])).requires_grad_()
    F.cross_entropy(x, tensor([2])).backward()
    p = 1 / (1 + math.exp(-0.5))
    np.testing.assert_allclose(x.grad.numpy(), [[1 - p, 0.0, p - 1]], atol=1e-15)


@pytest.mark.parametrize("label", [-1, 5, 2**40])
def test_labels_outside_the_classes(label):
    with pytest.raises(BoundsError, match="5 classes"):
        F.cross_entropy(tensor(np.zeros((1, 5))), tensor([label]))


def test_labels_of_the_wrong_kind():
    x = tensor(np.zeros((2, 5)))
    with pytest.raises(DTypeError, match="labels must be int32 or int64, got float32"):
        F.cross_entropy(x, tensor([1.0, 2.0]))
    with pytest.raises(DTypeError, match="bool"):
        F.nll_loss(x, tensor([True, False]))
    with pytest.raises(ShapeError, match=r"must have shape \(2,\)"):
        F.cross_entropy(x, tensor([1, 2, 3]))
    with pytest.raises(ShapeError, match="one factor per class"):
        F.cross_entropy(x, tensor([1, 2]), weight=tensor([1.0, 2.0]))


def test_classes_that_stand_last_are_noticed():
    with pytest.raises(ShapeError, match=r"transpose\(1, -1\)"):
        F.cross_entropy(smelt.zeros(4, 5, 3), smelt.zeros(4, 5).long())


def test_shapes_that_do_not_fit():
    x = tensor(np.zeros((4, 1)))
    with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4,\)"):
        F.mse_loss(x, tensor(np.zeros(4)))
    with pytest.raises(ShapeError, match="linear"):
        F.linear(x, tensor(np.zeros((2, 3))))
    with pytest.raises(ShapeError, match="layer_norm"):
        F.layer_norm(x, 3)
    with pytest.raises(ShapeError, match="two values per channel"):
        F.batch_norm(tensor(np.zeros((1, 3))), None, None, training=True)
    with pytest.raises(BoundsError, match="embedding"):
        F.embedding(tensor([7]), x)


def test_settings_that_mean_nothing():
    x = tensor(np.zeros((2, 3)))
    with pytest.raises(ArgumentError, match="reduction"):
        F.mse_loss(x, x, reduction="avg")
    with pytest.raises(ArgumentError, match="label_smoothing"):
        F.cross_entropy(x, tensor([0, 1]), label_smoothing=1.5)
    with pytest.raises(ArgumentError, match="approximate"):
        F.gelu(x, approximate="sigmoid")
    with pytest.raises(ArgumentError, match="dropout"):
        F.dropout(x, 1.5)
    with pytest.raises(ArgumentError, match="delta"):
        F.huber_loss(x, x, delta=0.0)
    with pytest.raises(ArgumentError, match="running_mean"):
        F.batch_norm(x, None, None)


@pytest.mark.parametrize("through", [lambda f: f, smelt.compile])
def test_logits_given_as_probabilities_are_refused(through):
    loss = through(lambda x, y: F.binary_cross_entropy(x, y))
    y = tensor([1.0, 0.0])
    assert loss(tensor([1.0, 0.0]), y).item() == 0.0
    for wrong in (-0.5, 1.5):
        with pytest.raises(ArgumentError, match="did you forget the sigmoid.*with_logits"):
            loss(tensor([wrong, 0.5]), y)
    assert math.isnan(loss(tensor([math.nan, 0.5]), y).item())


def test_linear_refuses_floats_of_another_dtype():
    weight = tensor([[1.0, 2.0]])
    with pytest.raises(
        DTypeError, match=r"is float64, but the weight is float32.*\.to\(smelt.float32\)"
    ):
        F.linear(tensor(np.ones((1, 2))), weight)
    assert F.linear(tensor([[1, 2]]), weight).item() == 5.0  # integers become floats


@pytest.mark.parametrize("through", [lambda f: f, smelt.compile])
def test_relu_keeps_nan_and_the_sign_of_zero(through):
    x = np.tile([-1.0, -0.0, 0.0, math.nan, 2.0, -math.inf, math.inf], 5).astype("float32")
    expected = np.tile([0.0, -0.0, 0.0, math.nan, 2.0, 0.0, math.inf], 5).astype("float32")
    y = through(lambda x: F.relu(x))(tensor(x)).numpy()
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(np.signbit(y), np.signbit(expected))


def test_settings_that_mean_nothing_are_refused():
    x = smelt.ones(2, 3)
    for eps in (0.0, -1.0):
        with pytest.raises(ArgumentError, match="eps must be positive"):
            F.batch_norm(x, None, None, training=True, eps=eps)
    with pytest.raises(ArgumentError, match="ignore_index 1 is for labels"):
        F.cross_entropy(x, F.softmax(x, 1), ignore_index=1)
    assert F.cross_entropy(x, F.softmax(x, 1), ignore_index=-100).item() > 0
