"""Every layer and loss against stored values and gradients of PyTorch's, in float64."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import errors, nn
from tests.references import sequence_cases
from tests.references.layer_cases import CONVOLUTIONS, LAYERS, PADS, POOLS, moving
from tests.references.running import on

KNOWN = dict(np.load(pathlib.Path(__file__).parents[1] / "references" / "layers.npz"))
COMPILED = (
    "Linear", "Embedding-padding", "LayerNorm", "GroupNorm", "BatchNorm1d",
    "CrossEntropyLoss-smooth", "InstanceNorm1d-alone", "InstanceNorm2d", "RMSNorm",
    "PixelShuffle", "Softshrink", *CONVOLUTIONS, *POOLS, *PADS,
)  # fmt: skip
OURS = (  # what PyTorch does not have, tested in files of its own
    "BasicBlock ClassToken Decoded EncoderDecoder HeunBlock LearnedPositions ManyToMany ManyToOne "
    "MeanPooling OneToMany PositionalEncoding Residual VariationalConv2d VariationalLinear"
)
# PyTorch's own gradients of these hold constants rounded to float32
ROUGH = {"Hardsigmoid": 1e-7, "CELU": 1e-7}


def known(case: str, room: str) -> dict[str, np.ndarray]:
    start = f"{case}/{room}/"
    return {key[len(start) :]: value for key, value in KNOWN.items() if key.startswith(start)}


def layer_of(case: str) -> nn.Module:
    kind, settings, _ = LAYERS[case]
    layer = getattr(nn, kind)(**settings).double()
    layer.load_state_dict(known(case, "state"))
    return layer


@pytest.mark.parametrize("case", LAYERS)
def test_layer_is_pytorchs(case: str) -> None:
    check(case, "eager")


@pytest.mark.parametrize("case", COMPILED)
def test_compiled_layer_is_pytorchs(case: str) -> None:
    check(case, "compiled")


def check(case: str, engine: str) -> None:
    layer = layer_of(case)
    inputs = [smelt.tensor(array) for _, array in sorted(known(case, "input").items())]
    for number in moving(case):
        inputs[number].requires_grad_()
    w = smelt.tensor(KNOWN[f"{case}/w"])

    def step(*given: smelt.Tensor) -> tuple[smelt.Tensor, ...]:
        for parameter in layer.parameters():
            parameter.grad = None
        output = layer(*given)
        (w * output).sum().backward()
        moved = [given[number].grad for number in moving(case)]
        return (output, *moved, *[parameter.grad for parameter in layer.parameters()])

    output, *gradients = on(engine, step)(*inputs)
    np.testing.assert_allclose(output.numpy(), KNOWN[f"{case}/output"], rtol=1e-10, atol=1e-12)
    expected = known(case, "gradient")
    names = [*map(str, moving(case)), *[name for name, _ in layer.named_parameters()]]
    assert sorted(expected) == sorted(names)
    for name, found in zip(names, gradients, strict=True):
        rtol = ROUGH.get(case, 1e-10)
        np.testing.assert_allclose(found.numpy(), expected[name], rtol=rtol, atol=1e-12)
    for key, value in layer.state_dict().items():
        np.testing.assert_allclose(value.numpy(), known(case, "after")[key], rtol=1e-10)


def test_every_layer_has_a_case() -> None:
    tools = {"Module", "ModuleDict", "ModuleList", "ParameterList", "Sequential"}
    tools |= {"Buffer", "Parameter"}
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    elsewhere = {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d"}  # in other cases
    elsewhere |= {"TransformerDecoder", "TransformerEncoder"}
    elsewhere |= {"SyncBatchNorm"}  # on several ranks: tests/distributed
    ours = set(OURS.split())
    kinds = {case[0] for case in (*LAYERS.values(), *sequence_cases.LAYERS.values())}
    assert kinds >= classes - tools - elsewhere - ours


def test_linear_starts_within_its_limits() -> None:
    smelt.manual_seed(1)
    layer = nn.Linear(100, 50)
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        assert np.abs(values).max() <= 0.1
        assert np.abs(values).max() > 0.08


def test_convolutions_start_within_their_limits() -> None:
    smelt.manual_seed(1)
    for layer in (nn.Conv2d(8, 30, 5, groups=2), nn.ConvTranspose2d(30, 8, 5, groups=2)):
        for values in (layer.weight.numpy(), layer.bias.numpy()):
            assert np.abs(values).max() <= 0.1
        assert np.abs(layer.weight.numpy()).max() > 0.099


def test_the_extent_of_a_transposed_convolution_can_be_chosen() -> None:
    layer, x = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1), smelt.ones(1, 2, 4, 5)
    assert layer(x).shape == (1, 3, 7, 9)
    assert layer(x, output_size=(8, 9)).shape == (1, 3, 8, 9)


def test_embedding_starts_normal_with_a_zero_row() -> None:
    smelt.manual_seed(1)
    table = nn.Embedding(200, 50, padding_idx=3).weight.numpy()
    assert not table[3].any()
    assert np.delete(table, 3, 0).std() == pytest.approx(1.0, abs=0.03)


def test_seed_repeats_first_values() -> None:
    drawn = []
    for _ in range(2):
        smelt.manual_seed(7)
        drawn.append(nn.Linear(3, 2).weight.numpy())
    np.testing.assert_array_equal(*drawn)


def test_dropout_scales_what_it_keeps_and_rests_in_evaluation() -> None:
    smelt.manual_seed(1)
    layer, x = nn.Dropout(0.25), smelt.ones(10_000)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x.numpy())


def test_batch_norm_uses_running_statistics_in_evaluation() -> None:
    layer = layer_of("BatchNorm1d").eval()
    layer.running_mean.copy_([1.0, 2.0, 3.0, 4.0])
    layer.running_var.copy_([4.0, 4.0, 4.0, 4.0])
    layer.weight.requires_grad_(False).copy_([1.0] * 4)
    layer.bias.requires_grad_(False).copy_([0.0] * 4)
    y = layer(smelt.tensor([[3.0, 4.0, 5.0, 6.0]], dtype="float64"))
    np.testing.assert_allclose(y.numpy(), 1 / np.sqrt(1 + 1e-5 / 4) * np.ones((1, 4)), rtol=1e-12)
    assert layer.num_batches_tracked.item() == 0


def test_compiled_step_follows_train_and_eval() -> None:
    smelt.manual_seed(1)
    layer, x = nn.Dropout(0.5), smelt.ones(64)
    run = smelt.compile(lambda x: layer(x))
    assert (run(x).numpy() == 0).any()
    layer.eval()
    assert (run(x).numpy() == 1).all()
    layer.train()
    layer.p = 1.0
    assert (run(x).numpy() == 0).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(-1, 2), errors.ArgumentError, "in_features must be .* got -1"),
        (lambda: nn.Linear(4, 2.5), errors.ArgumentError, "Linear: out_features must be .* 2.5"),
        (lambda: nn.Bilinear(4, "5", 2), errors.ArgumentError, "in2_features"),
        (lambda: nn.Embedding(2.0, 3), errors.ArgumentError, "num_embeddings"),
        (lambda: nn.Conv2d(4, 8, 0), errors.ArgumentError, "kernel_size .* at least 1, got 0"),
        (lambda: nn.Conv2d(4, 8, (3, 3, 3)), errors.ArgumentError, "kernel_size"),
        (lambda: nn.Conv1d(4, 8, 3, stride=-1), errors.ArgumentError, "Conv1d: stride"),
        (lambda: nn.Conv2d(4, 8, 3, groups=3), errors.ArgumentError, "divisible by groups=3"),
        (lambda: nn.Conv2d(4, 8, 3, padding="all"), errors.ArgumentError, "'all'"),
        (lambda: nn.Conv2d(4, 8, 3, 2, padding="same"), errors.ArgumentError, "stride 1"),
        (lambda: nn.Conv2d(4, 8, 3, padding_mode="wrap"), errors.ArgumentError, "'wrap'"),
        (lambda: nn.Conv2d(4, 8, 3)(smelt.ones(1, 3, 5, 5)), errors.ShapeError, "3 channels"),
        (lambda: nn.Conv2d(4, 8, 3)(smelt.ones(1, 4, 2, 5)), errors.ShapeError, "larger"),
        (
            lambda: nn.ConvTranspose1d(2, 2, 3, 2)(smelt.ones(1, 2, 4), output_size=[12]),
            errors.ArgumentError,
            r"output_size must lie .* got \(12,\)",
        ),
        (lambda: nn.MaxPool2d(3)(smelt.ones(1, 1, 2, 2)), errors.ShapeError, "larger"),
        (
            lambda: nn.GroupNorm(3, 4),
            errors.ArgumentError,
            "4 channels are not divisible by 3 groups",
        ),
        (lambda: nn.GroupNorm(2, 4)(smelt.ones(1, 6, 3)), errors.ShapeError, "GroupNorm needs"),
        (lambda: nn.LayerNorm(2.5), errors.ArgumentError, "normalized_shape"),
        (lambda: nn.LayerNorm((2, -1)), errors.ArgumentError, "normalized_shape"),
        (lambda: nn.BatchNorm1d(2.5, affine=False), errors.ArgumentError, "num_features"),
        (lambda: nn.PReLU(1.5), errors.ArgumentError, "num_parameters"),
        (lambda: nn.Dropout(1.5), errors.ArgumentError, "between 0 and 1"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), errors.ArgumentError, "padding_idx 3"),
        (lambda: nn.MSELoss("average"), errors.ArgumentError, "'average'"),
        (lambda: nn.Linear(3, 2)(smelt.ones(4, 2)), errors.ShapeError, "module linear"),
        (lambda: nn.BatchNorm1d(3)(smelt.ones(4, 2)), errors.ShapeError, "3 channels"),
        (lambda: nn.BatchNorm2d(3)(smelt.ones(4, 3)), errors.ShapeError, "4 axes"),
        (lambda: nn.BatchNorm1d(3)(smelt.ones(1, 3)), errors.ShapeError, "two values"),
        (lambda: nn.LayerNorm(3)(smelt.ones(4, 2)), errors.ShapeError, "last extents of the input"),
        (lambda: nn.Embedding(3, 2)(smelt.tensor([3])), errors.BoundsError, "embedding"),
        (lambda: nn.Unflatten(1, (2, -1))(smelt.ones(1, 5)), errors.ShapeError, "reshape"),
        (lambda: nn.Flatten(5)(smelt.ones(2, 2)), errors.ArgumentError, "axis 5"),
    ],
)
def test_bad_arguments_are_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_empty_extents_are_allowed() -> None:
    assert nn.Linear(0, 3)(smelt.ones(2, 0)).shape == (2, 3)
    assert nn.Linear(3, 0)(smelt.ones(2, 3)).shape == (2, 0)
    assert nn.Linear(3, 2)(smelt.ones(0, 3)).shape == (0, 2)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_embedding_shortens_what_it_reads(norm_type: float, compiled: bool) -> None:
    rows = np.array([[3.0, 4.0], [0.3, 0.4], [6.0, -8.0], [0.0, 0.0], [5.0, 1.0]])
    layer = nn.Embedding(5, 2, padding_idx=3, max_norm=1.0, norm_type=norm_type, dtype="float64")
    layer.load_state_dict({"weight": smelt.tensor(rows)})

    def run(first: smelt.Tensor, second: smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor | None]:
        loss = (layer(first) ** 2).sum() + (layer(second) ** 3).sum()  # two look-ups, one backward
        loss.backward()
        return loss, layer.weight.grad

    with smelt.settings(compile=compiled):
        loss, gradient = smelt.compile(run)(smelt.tensor([[0, 1], [0, 3]]), smelt.tensor([2, 0]))
    lengths = np.linalg.norm(rows, norm_type, axis=1, keepdims=True)
    short = np.where(lengths > 1, rows / (lengths + 1e-7), rows)
    expected = np.array([*short[:4], rows[4]])  # 4 is not read
    np.testing.assert_allclose(layer.weight.numpy(), expected, rtol=1e-12)
    counts, cubes = np.array([[2], [1], [0], [0], [0]]), np.array([[1], [0], [1], [0], [0]])
    assert loss.item() == pytest.approx((counts * expected**2 + cubes * expected**3).sum())
    assert gradient is not None
    slopes = counts * 2 * expected + cubes * 3 * expected**2
    np.testing.assert_allclose(gradient.numpy(), slopes, rtol=1e-12)


def test_embedding_of_a_computed_table_leaves_it_as_it_is() -> None:
    table = smelt.tensor([[3.0, 4.0]], requires_grad=True)
    found = F.embedding(smelt.tensor([0]), table * 2, max_norm=1.0)
    assert found.tolist()[0] == pytest.approx([0.6, 0.8])
    found.sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[2, 2]]
    assert table.tolist() == [[3, 4]]
    with pytest.raises(errors.ArgumentError, match="max_norm must not be negative"):
        F.embedding(smelt.tensor([0]), table, max_norm=-1.0)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (0, 3, 2, 2)])
def test_batch_norm_of_no_values_has_no_gradient(shape: tuple[int, ...], compiled: bool) -> None:
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    layer = kind(3)

    def run(x: smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor | None]:
        y = layer(x)
        y.sum().backward()
        return y, layer.weight.grad

    with smelt.settings(compile=compiled):
        y, gradient = smelt.compile(run)(smelt.ones(shape))
    assert y.shape == shape
    assert gradient is not None
    assert gradient.tolist() == [0, 0, 0]
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.running_var.tolist() == [1, 1, 1]


def test_running_statistics_are_captured_and_no_arguments() -> None:
    step = smelt.compile(lambda x, mean, var: F.batch_norm(x, mean, var, training=True))
    with pytest.raises(errors.TraceError, match="is an argument of the compiled step"):
        step(smelt.ones(4, 3), smelt.zeros(3), smelt.ones(3))
