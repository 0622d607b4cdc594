"""Modules of PyTorch's in Smelt: outputs, gradients and buffers agree, and what cannot be is said.

They run where PyTorch is installed: `script/test-from-torch PYTHON_WITH_TORCH`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import optim
from smelt.errors import (
    ArgumentError,
    ArgumentTypeError,
    CompileError,
    DTypeError,
    ShapeError,
)
from smelt.export import from_torch
from smelt.export.torch.table import RULES

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from tests.export.torch_zoo import (  # noqa: E402
    OF_TORCH,
    OF_TORCHVISION,
    OF_TRANSFORMERS,
    Example,
    compare,
    rounding,
)

pytestmark = [  # of PyTorch's own code
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
]
nn = torch.nn


class Function(nn.Module):
    """A function of tensors, the first of which is scaled by a parameter; so it has a gradient."""

    def __init__(self, function: Callable[..., Any], *shape: int) -> None:
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(torch.rand(*shape) + 0.5)

    def forward(self, x: Any, *others: Any) -> Any:
        return self.function(x * self.scale, *others)


def assert_agrees(model: Any, *inputs: Any, **settings: Any) -> Any:
    """Fails unless a model agrees in both modes, outputs, gradients and buffers."""
    ours, errors = compare(Example(model, inputs), **settings)
    assert max(errors) < 2e-6, errors
    return ours


def numbers(*shape: int, low: float = -2, high: float = 2) -> Any:
    generator = torch.Generator().manual_seed(len(shape) + sum(shape))
    return torch.rand(*shape, generator=generator) * (high - low) + low


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    smelt.manual_seed(0)


# --- families of operators ------------------------------------------------------------------------


ARITHMETIC = {
    "add, alpha": lambda x, y: torch.add(x, y, alpha=3),
    "sub, alpha": lambda x, y: torch.sub(x, y, alpha=0.5) - 2,
    "rsub": lambda x, y: 1 - x - torch.rsub(y, x, alpha=2),
    "mul, div": lambda x, y: x * y / (y.abs() + 1) / 3 * 2.5,
    "rounded": lambda x, y: torch.div(x, 0.3, rounding_mode="floor") + torch.floor_divide(y, 0.7),
    "truncated": lambda x, y: torch.div(x, 0.3, rounding_mode="trunc") + x,
    "remainder": lambda x, y: torch.remainder(x, 0.7) + torch.fmod(y, 0.6) + x % 1,
    "powers": lambda x, y: x**2 + x**3 + 2**y + (x.abs() + 1) ** y + x.abs().pow(0.5),
    "maximum": lambda x, y: torch.maximum(x, y) - torch.minimum(x, y * 2) + torch.fmax(x, y),
    "clamp": lambda x, y: x.clamp(-1, 1) + y.clamp(min=0) + x.clamp(max=0.5) + torch.clamp(x, y),
    "addcmul": lambda x, y: torch.addcmul(x, x, y, value=0.5) + torch.addcdiv(x, y, x.abs() + 1),
    "lerp": lambda x, y: torch.lerp(x, y, 0.3) + torch.lerp(x, y, y),
    "atan2, hypot": lambda x, y: torch.atan2(x, y) + torch.hypot(x, y) + torch.logaddexp(x, y),
    "xlogy": lambda x, y: torch.xlogy(x, y.abs() + 0.1),
    "comparisons": lambda x, y: ((x > y) & (x != 0)).float() + (x <= 0.5) * x + (x == y),
    "logic": lambda x, y: x * (torch.logical_or(x > 0, y > 0) ^ (y < 1)) + (~(x >= 1)).float(),
    "where": lambda x, y: torch.where(x > 0, x, y) + torch.where(y > 0, x, 0.0),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, -1.5),
    "nan_to_num": lambda x, y: torch.nan_to_num(torch.log(x), nan=0.5, neginf=-3) + x,
    "in place": lambda x, y: x.clone().add_(y).mul_(2).relu_() + y.clone().fill_(3),
    "into a part": lambda x, y: _changed(x.clone(), y),
    "casts": lambda x, y: (x.double() + y).float() + (x * 3).long() + x.bool() + x.half().float(),
    "integers": lambda x, y: x + ((y * 9).long() & 6) + ((y * 9).int() << 2) + ((y * 9).int() // 2),
}


def _changed(x: Any, y: Any) -> Any:
    x[:, 1] = y[:, 0] * 2
    x[0, 2:] += 1
    x[x > 1.5] = 0.25
    return x


@pytest.mark.parametrize("function", ARITHMETIC.values(), ids=ARITHMETIC)
def test_arithmetic(function):
    assert_agrees(Function(function, 3, 4), numbers(3, 4), numbers(3, 4))


OF_ONE = """
abs neg sign exp exp2 expm1 sin cos tan sinh cosh tanh atan asinh erf erfc sigmoid floor ceil round
trunc frac square reciprocal
"""
OF_POSITIVE = "log log2 log10 log1p sqrt rsqrt"
OF_UNIT = "asin acos atanh logit"


@pytest.mark.parametrize("name", f"{OF_ONE} {OF_POSITIVE} {OF_UNIT} acosh".split())
def test_functions_of_one_number(name):
    low, high = -2.0, 2.0
    if name in OF_POSITIVE.split() or name == "reciprocal":
        low = 0.1
    if name in OF_UNIT.split():
        low, high = (0.02, 0.6) if name == "logit" else (-0.6, 0.6)
    if name == "acosh":
        low, high = 2.1, 5.0
    assert_agrees(Function(getattr(torch, name), 3, 4), numbers(3, 4, low=low, high=high))


ACTIVATIONS = """
ReLU ReLU6 ELU CELU SELU GELU SiLU Mish Hardswish Hardsigmoid Hardtanh LeakyReLU LogSigmoid
Softplus Softsign Softshrink Hardshrink Tanhshrink Sigmoid Tanh
"""


@pytest.mark.parametrize("name", ACTIVATIONS.split())
def test_activations(name):
    assert_agrees(nn.Sequential(nn.Linear(4, 5), getattr(nn, name)()), numbers(3, 4))


def test_activations_with_settings():
    for layer in (
        nn.Softmax(1), nn.LogSoftmax(-1), nn.GLU(1), nn.GELU("tanh"), nn.PReLU(6), nn.PReLU(),
        nn.Threshold(0.1, -1.0), nn.ELU(0.5), nn.Softplus(2.0, 1.0), nn.Softmin(0),
    ):  # fmt: skip
        assert_agrees(nn.Sequential(nn.Linear(4, 6), layer), numbers(3, 4))


REDUCTIONS = {
    "sum": lambda x: (x.sum(), x.sum(1), x.sum((0, 2), keepdim=True), (x > 0).sum(0) * x.sum()),
    "mean": lambda x: (x.mean(), x.mean(-1, keepdim=True), x.mean((0, 1))),
    "prod": lambda x: (x.prod(), x.prod(1)),
    "extremes": lambda x: (x.amax(1), x.amin((0, 2)), x.max(), x.min()),
    "places": lambda x: (*x.max(1), *x.min(2, keepdim=True), x.argmax(), x.argmin(-1), x.sum()),
    "variance": lambda x: (x.var(), x.std(1), x.var((0, 1), correction=0), x.std(unbiased=False)),
    "pairs": lambda x: (*torch.var_mean(x, 1), *torch.std_mean(x, (0, 2), correction=0)),
    "norms": lambda x: (x.norm(), x.norm(1, 1), torch.linalg.vector_norm(x, 3, (0, 2))),
    "logsumexp": lambda x: (x.logsumexp(1), torch.logsumexp(x, (0, 2), True)),
    "running": lambda x: (x.cumsum(1), x.cumprod(-1), x.cumsum(0, dtype=torch.float64)),
    "any, all": lambda x: ((x > 1).any(1) * x.sum(1), (x > -1).all() * x, (x != 0).all(0) + x),
    "sorted": lambda x: (*x.sort(1), *x.sort(-1, descending=True), *x.topk(2, 1)),
    "argsort": lambda x: (x.argsort(1), x.argsort(descending=True), x.sum(), *x.median(1)),
    "norms of rows": lambda x: nn.functional.normalize(x, dim=1),
    "similarity": lambda x: nn.functional.cosine_similarity(x, x.flip(1), dim=-1),
}


@pytest.mark.parametrize("function", REDUCTIONS.values(), ids=REDUCTIONS)
def test_reductions(function):
    assert_agrees(Function(function, 2, 3, 4), numbers(2, 3, 4))


MOVEMENTS = {
    "views": lambda x: (x.view(6, 4), x.reshape(2, -1), x.flatten(1), x.unflatten(2, (2, 2))),
    "axes": lambda x: (x.permute(2, 0, 1), x.transpose(0, 2), x[0].t(), x.movedim(0, -1), x.mT),
    "ones": lambda x: (x.unsqueeze(1), x[:1].squeeze(0), x[:, :1].squeeze(), x[:1].squeeze((0, 2))),
    "repeated": lambda x: (
        x[:1].expand(5, -1, 4),
        x.repeat(2, 1, 3),
        x.tile(2),
        x.repeat_interleave(2, 1),
    ),
    "parts": lambda x: (x[:, 1:], x[..., ::2], x[1], x[:, -1], x.narrow(2, 1, 2), x.select(1, 2)),
    "pieces": lambda x: (*x.split(2, 2), *x.chunk(2), *x.unbind(1), *torch.tensor_split(x, 3, 2)),
    "sizes": lambda x: x.split([1, 3], 2),
    "joined": lambda x: (torch.cat([x, x * 2], 1), torch.stack([x, x], -1), torch.hstack([x, x])),
    "turned": lambda x: (
        x.flip(0, 2),
        x.roll(1, 1),
        x.roll((1, 2), (0, 2)),
        x.roll(2),
        x.rot90(1, (1, 2)),
    ),
    "triangles": lambda x: (x.tril(), x.triu(1), x.diagonal(0, 1, 2), torch.diag_embed(x)),
    "windows": lambda x: (x.unfold(2, 3, 1), x.unfold(1, 2, 2)),
    "padded": lambda x: (
        nn.functional.pad(x, (1, 2, 0, 1), value=3),
        nn.functional.pad(x, (-1, 2)),
    ),
    "mirrored": lambda x: (
        nn.functional.pad(x, (2, 1), "reflect"),
        nn.functional.pad(x, (1, 2), "replicate"),
    ),
    "around": lambda x: nn.functional.pad(x, (2, 1), "circular"),
    "grid": lambda x: torch.meshgrid(x[0, 0], x[1, :, 1], indexing="ij"),
}


@pytest.mark.parametrize("function", MOVEMENTS.values(), ids=MOVEMENTS)
def test_movements(function):
    assert_agrees(Function(function, 2, 3, 4), numbers(2, 3, 4))


PLACES = torch.tensor([[0, 2, 1], [2, 2, 0]])
INDEXING = {
    "index": lambda x, i: (x[i], x[:, i], x[1, i[0]], x[:, [2, 0]], x[i, :, i]),
    "index_select": lambda x, i: (x.index_select(1, i[0]), x.index_select(0, i[1])),
    "gather": lambda x, i: (
        x[0].gather(0, i),
        x[1].gather(1, i),
        torch.take_along_dim(x[0], i[:1], 1),
    ),
    "scatter": lambda x, i: (
        x[0].scatter(0, i, 0.5),
        x[0].scatter(1, i[:1], x[1][:1]),
        x[0].scatter_add(1, i, x[1, :2]),
        x[0].scatter_reduce(1, i, x[1, :2], "sum"),
    ),
    "index_add": lambda x, i: (x.index_add(0, i[1], x), x[0].index_fill(1, i[0, :2], 2.0)),
    "index_put": lambda x, i: (
        x.index_put((i[0], i[0]), torch.ones(3, 3)),
        x.index_put((i[1],), x, accumulate=True),
    ),
    "take": lambda x, i: torch.take(x, i * 3),
    "one_hot": lambda x, i: nn.functional.one_hot(i, 4) * x.sum(),
}


@pytest.mark.parametrize("function", INDEXING.values(), ids=INDEXING)
def test_indexing(function):
    assert_agrees(Function(function, 3, 3, 3), numbers(3, 3, 3), PLACES)


PRODUCTS = {
    "matmul": lambda x, y: (
        x @ y,
        x[0] @ y[0],
        x[0, 0] @ y[0],
        x @ y[0, :, 0],
        x[0, 0] @ y[0, :, 0],
    ),
    "bmm": lambda x, y: (torch.bmm(x, y), torch.baddbmm(x @ y, x, y, beta=0.5, alpha=2)),
    "addmm": lambda x, y: (
        torch.addmm(x[0, 0, :3], x[0], y[0], beta=2),
        x[0].mm(y[1]),
        x[0].mv(y[0, :, 0]),
    ),
    "einsum": lambda x, y: (torch.einsum("bij,bjk->bik", x, y), torch.einsum("bij,bjk->i", x, y)),
    "outer": lambda x, y: (
        torch.outer(x[0, 0], y[0, 0]),
        torch.dot(x[0, 0], y[0, :, 0]),
        x[0, :3, :3].trace(),
    ),
    "tensordot": lambda x, y: torch.tensordot(x, y, dims=([2], [1])),
    "distances": lambda x, y: torch.cdist(x, y.mT),
    "attention": lambda x, y: nn.functional.scaled_dot_product_attention(x, y.mT, y.mT),
    "causal": lambda x, y: nn.functional.scaled_dot_product_attention(
        x, x, x, is_causal=True, scale=0.3
    ),
    "masked": lambda x, y: nn.functional.scaled_dot_product_attention(
        x, y.mT, y.mT, torch.ones(5, 3).tril() > 0
    ),
}


@pytest.mark.parametrize("function", PRODUCTS.values(), ids=PRODUCTS)
def test_products(function):
    assert_agrees(Function(function, 2, 5, 4), numbers(2, 5, 4), numbers(2, 4, 3))


def test_sampling_on_a_grid():
    def sampled(x: Any, grid: Any) -> Any:
        return nn.functional.grid_sample(x, grid, align_corners=False)

    grid = numbers(2, 3, 4, 2, low=-0.9, high=0.9)
    assert_agrees(Function(sampled, 2, 3, 5, 6), numbers(2, 3, 5, 6), grid)


def test_attention_of_grouped_heads():
    def grouped(x: Any, y: Any) -> Any:
        return nn.functional.scaled_dot_product_attention(x, y, y, enable_gqa=True)

    assert_agrees(Function(grouped, 2, 4, 5, 3), numbers(2, 4, 5, 3), numbers(2, 2, 6, 3))


LAYERS = {
    "Conv1d": (nn.Conv1d(4, 6, 3, 2, 1, groups=2), (2, 4, 9)),
    "Conv2d": (nn.Conv2d(3, 5, (3, 2), (2, 1), (1, 0), (1, 2), bias=False), (2, 3, 8, 7)),
    "Conv2d same": (nn.Conv2d(3, 5, 3, padding="same", padding_mode="reflect"), (2, 3, 6, 7)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 6, 6)),
    "ConvTranspose1d": (nn.ConvTranspose1d(4, 6, 3, 2, 1, 1), (2, 4, 5)),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, dilation=2), (2, 4, 5, 4)),
    "BatchNorm1d": (nn.BatchNorm1d(4), (6, 4)),
    "BatchNorm1d of sequences": (nn.BatchNorm1d(4, affine=False), (3, 4, 5)),
    "BatchNorm2d": (nn.BatchNorm2d(3, momentum=0.3, eps=1e-3), (4, 3, 5, 5)),
    "BatchNorm2d of the batch": (nn.BatchNorm2d(3, track_running_stats=False), (4, 3, 5, 5)),
    "InstanceNorm1d": (nn.InstanceNorm1d(4, affine=True), (3, 4, 7)),
    "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (3, 3, 5, 5)),
    "LayerNorm": (nn.LayerNorm((3, 4)), (2, 3, 4)),
    "LayerNorm without bias": (nn.LayerNorm(4, bias=False), (2, 3, 4)),
    "GroupNorm": (nn.GroupNorm(2, 4), (3, 4, 5)),
    "RMSNorm": (nn.RMSNorm(4, eps=1e-6), (3, 4)),
    "MaxPool1d": (nn.MaxPool1d(3, 2, 1), (2, 3, 9)),
    "MaxPool2d": (nn.MaxPool2d((3, 2), 2, 1, ceil_mode=True), (2, 3, 8, 7)),
    "MaxPool2d with places": (nn.MaxPool2d(2, return_indices=True), (2, 3, 8, 6)),
    "AvgPool1d": (nn.AvgPool1d(3, 2, 1, count_include_pad=False), (2, 3, 9)),
    "AvgPool2d": (nn.AvgPool2d(3, 2, 1, divisor_override=5), (2, 3, 8, 7)),
    "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(3), (2, 3, 8)),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((3, None)), (2, 3, 8, 7)),
    "AdaptiveAvgPool2d to one": (nn.AdaptiveAvgPool2d(1), (2, 3, 8, 7)),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d((3, 2)), (2, 3, 8, 7)),
    "LPPool2d": (nn.LPPool2d(2, 2), (2, 3, 8, 6)),
    "Upsample": (nn.Upsample(scale_factor=2), (2, 3, 4, 5)),
    "Upsample bilinear": (nn.Upsample(scale_factor=1.5, mode="bilinear"), (2, 3, 4, 6)),
    "Upsample corners": (nn.Upsample((7, 9), mode="bilinear", align_corners=True), (2, 3, 4, 6)),
    "Upsample bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), (2, 3, 4, 5)),
    "Upsample linear": (nn.Upsample(9, mode="linear"), (2, 3, 4)),
    "PixelShuffle": (nn.PixelShuffle(2), (2, 8, 3, 4)),
    "ReflectionPad2d": (nn.ReflectionPad2d((1, 2, 0, 1)), (2, 3, 4, 5)),
    "ReplicationPad2d": (nn.ReplicationPad2d(1), (2, 3, 4, 5)),
    "ZeroPad2d": (nn.ZeroPad2d((1, 0, 2, -1)), (2, 3, 4, 5)),
    "Unfold": (nn.Unfold((2, 3), stride=2), (2, 3, 6, 7)),
    "Fold": (nn.Fold((4, 5), (2, 2)), (2, 12, 12)),
    "Bilinear": (nn.Linear(4, 3), (2, 4)),
    "weight_norm": (nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (2, 4)),
    "LocalResponseNorm": (nn.LocalResponseNorm(3), (2, 6, 4)),
    "ChannelShuffle": (nn.ChannelShuffle(2), (1, 4, 3, 3)),
}


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_layers(layer, shape):
    model = nn.Sequential(Function(lambda x: x, *shape[1:]), copy.deepcopy(layer))
    assert_agrees(model, numbers(*shape))


RECURRENT = {
    "LSTM": nn.LSTM(3, 4),
    "LSTM, two layers, both directions": nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True),
    "GRU": nn.GRU(3, 4, 2, bias=False),
    "RNN": nn.RNN(3, 4, bidirectional=True),
    "RNN, relu": nn.RNN(3, 4, nonlinearity="relu"),
}


@pytest.mark.parametrize("layer", RECURRENT.values(), ids=RECURRENT)
def test_recurrent_layers_stay_one_operator(layer):
    ours = assert_agrees(copy.deepcopy(layer), numbers(5, 2, 3))
    operators = [call.operator for call in ours._imported.modes[True].program.calls]
    kind = "rnn_" if isinstance(layer, nn.RNN) else type(layer).__name__.lower()
    assert sum(operator.startswith(f"aten.{kind}") for operator in operators) == 1


class Stateful(nn.Module):
    """A recurrence that starts from a given state, in cells, with a state that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)
        self.other = nn.GRUCell(4, 4)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("count", torch.tensor(0), persistent=False)

    def forward(self, x: Any, h: Any) -> Any:
        h, c = self.cell(x, (h, h * 2))
        h = self.other(h, c)
        if self.training:
            self.mean.mul_(0.9).add_(h.detach().mean(0), alpha=0.1)
            self.count += 1
        return {"h": h - self.mean, "both": (c, [h])}


def test_cells_and_buffers_that_a_module_changes():
    ours = assert_agrees(Stateful(), numbers(5, 3), numbers(5, 4))
    assert "count" not in ours.state_dict()
    assert ours.count.item() == 1
    result = ours.eval()(numbers(5, 3).numpy(), numbers(5, 4).numpy())
    assert list(result) == ["h", "both"]
    assert isinstance(result["both"][1], list)
    assert ours.count.item() == 1


class Lossy(nn.Module):
    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.loss = loss

    def forward(self, x: Any, target: Any) -> Any:
        return self.loss(self.layer(x), target)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=1),
        nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5]), reduction="sum"), nn.MultiMarginLoss(),
    ],
)  # fmt: skip
def test_losses_of_classes(loss):
    assert_agrees(Lossy(loss), numbers(5, 4), torch.tensor([0, 2, 1, 1, 0]))


@pytest.mark.parametrize(
    "loss",
    [
        nn.MSELoss(), nn.L1Loss(reduction="sum"), nn.SmoothL1Loss(beta=0.5), nn.SoftMarginLoss(),
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0])), nn.HuberLoss(delta=0.3),
        nn.KLDivLoss(reduction="batchmean"), nn.PoissonNLLLoss(), nn.HingeEmbeddingLoss(),
    ],
)  # fmt: skip
def test_losses_of_numbers(loss):
    assert_agrees(Lossy(loss), numbers(5, 4), numbers(5, 3, low=0, high=1))


CREATION = {
    "numbers": lambda x: (torch.arange(4) + x, torch.linspace(0, 1, 4) + x, torch.eye(4)[:3] + x),
    "full": lambda x: (torch.full((3, 4), 2.5) + x, torch.ones_like(x) + x, x.new_zeros(4) + x),
    "steps": lambda x: (
        torch.arange(1, 9, 2) + x,
        torch.arange(0, 1, 0.25) + x,
        torch.zeros(4) + x,
    ),
    "constants": lambda x: (x + torch.tensor([1.0, 2, 3, 4]), x * torch.tensor(3)),
    "without gradient": lambda x: (x * _without_gradient(x) + x.detach(), _without_gradient(x)),
}


def _without_gradient(x: Any) -> Any:
    with torch.no_grad():
        y = (x * 2).exp()
        with torch.no_grad():
            y = y + x.view(4, 3).reshape(3, 4)
    with torch.no_grad():
        z = y + 1
    return y + z


@pytest.mark.parametrize("function", CREATION.values(), ids=CREATION)
def test_creation_and_regions(function):
    assert_agrees(Function(function, 3, 4), numbers(3, 4))


def test_a_region_with_gradients_within_one_without():
    def within(x: Any) -> Any:
        with torch.no_grad():
            z = x.exp()
            with torch.enable_grad():
                y = x * z
            z = z + y
        return y * z

    assert_agrees(Function(within, 3), numbers(3))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        y = self.layer(x)
        return torch.cond(y.sum() > 0, lambda y: y * 2, lambda y: y - 1, (y,))


def test_branches():
    assert_agrees(Branching(), numbers(3, 4))


RANDOM = {
    "rand": lambda x: torch.rand(4000, 4) + 0 * x,
    "randn": lambda x: torch.randn_like(x) + 0 * x,
    "randint": lambda x: torch.randint(0, 10, (4000, 4)) + 0 * x,
    "bernoulli": lambda x: torch.bernoulli(torch.full((4000, 4), 0.3)) + 0 * x,
    "dropout": lambda x: nn.functional.dropout(x, 0.25, True),
    "channels": lambda x: nn.functional.dropout2d(x.reshape(4000, 4, 1, 1), 0.25, True),
    "alpha": lambda x: nn.functional.alpha_dropout(x, 0.25, True),
    "normal": lambda x: torch.normal(x, 2.0),
    "uniform": lambda x: torch.empty_like(x).uniform_(2, 5) + 0 * x,
    "multinomial": lambda x: torch.multinomial(torch.ones(4000, 5), 4, True) + 0 * x,
    "rrelu": lambda x: nn.functional.rrelu(-x, training=True),
}


@pytest.mark.parametrize("function", RANDOM.values(), ids=RANDOM)
def test_random_numbers_have_the_same_distribution(function):
    model, x = Function(function, 4), torch.ones(4000, 4)
    with torch.no_grad():
        model.scale.fill_(1)
    ours = from_torch(model, x)
    found, wanted = np.asarray(ours(x.numpy()).numpy()), model(x).detach().numpy()
    assert found.shape == wanted.shape
    assert abs(found.mean() - wanted.mean()) < 0.1 * max(1, wanted.std())
    assert abs(found.std() - wanted.std()) < 0.05 * max(1, wanted.std())
    assert not np.array_equal(found, ours(x.numpy()).numpy())


# --- models by others -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_TORCH)
def test_models_of_torch(name):
    _, errors = compare(OF_TORCH[name]())
    assert max(errors.evaluated, errors.trained, errors.buffers) < 1e-5, errors
    assert errors.gradients < 1e-4, errors


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_models_of_torchvision(name):
    """In float64, where no rounding is large enough to change what ReLU and max pooling choose."""
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    _, errors = compare(OF_TORCHVISION[name]().double(), compiled=True)
    assert max(errors) < 1e-8, errors  # 1e-9 where PyTorch's hardsigmoid has a 1/6 of float32


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5", "mobilenet_v2"])
def test_gradients_are_rounded_as_in_pytorch(name):
    """Without jumps in the gradient: where ReLU is given a number beside 0, or two of a window are
    nearly equal, a rounding decides, and one such decision moves a gradient by up to a hundredth.
    """
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    torch.manual_seed(0)
    ours, theirs = rounding(OF_TORCHVISION[name]().smooth())
    assert ours < 3 * theirs, (ours, theirs)
    assert max(ours, theirs) < 1e-4


@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_models_of_transformers(name):
    pytest.importorskip("transformers", reason="transformers is not installed")
    _, errors = compare(OF_TRANSFORMERS[name]())
    assert max(errors.evaluated, errors.trained, errors.buffers) < 1e-5, errors
    assert errors.gradients < 1e-4, errors


def test_every_rule_is_of_an_operator():
    for name in RULES:
        base, _, overload = name.partition(".")
        if base in ("_operator", "math", "torch"):
            continue
        place = torch.ops.higher_order if base == "higher_order" else torch.ops.aten
        name = overload if base == "higher_order" else base
        packet = getattr(place, name)
        assert base == "higher_order" or not overload or overload in packet.overloads(), name


# --- the module -----------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(8, 8, bias=False)
        self.out.weight = nn.Parameter(torch.eye(8) + 0.1)
        self.tied = self.out
        self.hidden.bias.requires_grad_(False)

    def forward(self, x: Any, scale: float = 1.0, mask: Any = None) -> Any:
        y = self.out(self.drop(torch.relu(self.norm(self.hidden(x)))))
        y = self.tied(y) * scale
        return y if mask is None else y * mask


def test_it_is_the_same_module():
    net = Net()
    ours = from_torch(net, numbers(6, 4))
    assert list(ours.state_dict()) == list(net.state_dict())
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy())
    assert ours.tied is ours.out
    assert [name for name, _ in ours.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert not ours.hidden.bias.requires_grad
    assert ours.training
    assert (
        repr(ours).splitlines()[1] == "  (hidden): Linear(in_features=4, out_features=8, bias=True)"
    )
    assert net.training
    assert net.norm.num_batches_tracked.item() == 0
    assert ours.norm.num_batches_tracked.item() == 0


def test_its_weights_can_be_loaded_from_pytorch_and_given_back():
    net, other = Net(), Net()
    ours = from_torch(net, numbers(6, 4)).eval()
    ours.load_state_dict({key: value.numpy() for key, value in other.state_dict().items()})
    x = numbers(6, 4)
    np.testing.assert_allclose(ours(x.numpy()).numpy(), other.eval()(x).detach().numpy(), atol=1e-6)
    net.load_state_dict(
        {k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()}
    )
    np.testing.assert_allclose(ours(x.numpy()).numpy(), net.eval()(x).detach().numpy(), atol=1e-6)


def test_it_trains_compiled_as_in_pytorch():
    net = nn.Sequential(
        nn.Linear(4, 16, bias=False), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3)
    )
    x, y = numbers(32, 4), torch.arange(32) % 3
    ours = from_torch(net, x)
    optimizer, theirs = (
        optim.Adam(ours.parameters(), lr=0.01),
        torch.optim.Adam(net.parameters(), 0.01),
    )

    @smelt.compile
    def step(x, y):
        loss = F.cross_entropy(ours(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    found, wanted = [], []
    for _ in range(20):
        found.append(step(x.numpy(), y.numpy()).item())
        theirs.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        theirs.step()
        wanted.append(loss.item())
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert found[-1] < found[0]
    np.testing.assert_allclose(
        ours.eval()(x.numpy()).numpy(), net.eval()(x).detach().numpy(), atol=1e-3
    )


def test_a_copy_has_parameters_of_its_own():
    ours = from_torch(Net(), numbers(6, 4)).eval()
    x = numbers(6, 4).numpy()
    other, before = copy.deepcopy(ours), ours(x)
    with smelt.no_grad():
        other.out.weight.mul_(2.0)
    assert not np.allclose(other(x).numpy(), before.numpy())
    np.testing.assert_array_equal(ours(x).numpy(), before.numpy())


def test_dropout_acts_in_training_only():
    ours = from_torch(nn.Dropout(0.5), torch.ones(1000))
    x = np.ones(1000, np.float32)
    assert set(np.unique(ours(x).numpy())) == {0.0, 2.0}
    np.testing.assert_array_equal(ours.eval()(x).numpy(), x)


def test_frozen_parts_stay_frozen():
    net = Net()
    net.norm.eval()
    ours = from_torch(net, numbers(6, 4))
    assert not ours.norm.training
    x = numbers(6, 4).numpy()
    ours(x)
    assert ours.norm.num_batches_tracked.item() == 0
    ours.eval().train()
    assert not ours.norm.training
    ours.norm.train()
    with pytest.raises(ArgumentError, match="norm is in training mode"):
        ours(x)


def test_modes_that_do_not_fit():
    net = Net().eval()
    net.drop.train()
    with pytest.raises(ArgumentError, match="drop is in training mode within a Net"):
        from_torch(net, numbers(6, 4))


def test_a_part_is_not_called():
    ours = from_torch(Net(), numbers(6, 4))
    with pytest.raises(CompileError, match="this Linear is a part of a module from PyTorch"):
        ours.hidden(numbers(6, 4).numpy())


# --- arguments ------------------------------------------------------------------------------------


def test_dynamic_axes():
    net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(1, 2), nn.LazyLinear(3))
    net(torch.zeros(1, 2, 8))
    ours = from_torch(net, numbers(4, 2, 8), dynamic_shapes=({0: "batch"},)).eval()
    net.eval()
    compiled = smelt.compile(lambda x: ours(x), dynamic={"x": {0: "batch"}})
    for batch in (1, 3, 7):
        x = numbers(batch, 2, 8)
        wanted = net(x).detach().numpy()
        np.testing.assert_allclose(ours(x.numpy()).numpy(), wanted, atol=1e-5)
        np.testing.assert_allclose(compiled(x.numpy()).numpy(), wanted, atol=1e-5)
    with pytest.raises(ShapeError, match="dynamic_shapes"):
        ours(numbers(4, 2, 9).numpy())


class Sequences(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 4)
        self.places = nn.Embedding(30, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)

    def forward(self, ids: Any, padding: Any) -> Any:
        batch, length = ids.shape
        x = self.table(ids) + self.places(torch.arange(length)).unsqueeze(0)
        x = self.layer(x, src_key_padding_mask=padding)
        return x.view(batch, length * 4).view(batch, length, 4).sum(1) / length


def test_dynamic_lengths():
    model = Sequences()
    ids = torch.randint(0, 9, (3, 6))
    padding = torch.zeros(3, 6, dtype=torch.bool)
    axes = {0: "batch", 1: "time"}
    ours = from_torch(model, ids, padding, dynamic_shapes=(axes, axes)).eval()
    model.eval()
    for batch, length in ((2, 5), (5, 11), (4, 8)):
        ids = torch.randint(0, 9, (batch, length))
        padding = torch.zeros(batch, length, dtype=torch.bool)
        padding[0, -2:] = True
        wanted = model(ids, padding).detach().numpy()
        found = ours(ids.numpy(), padding.numpy()).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    with pytest.raises(ShapeError, match="one length"):
        ours(ids.numpy(), padding[:, :-1].numpy())


def test_arguments_by_name_and_constants():
    net, x, mask = Net().eval(), numbers(6, 4), torch.ones(8)
    ours = from_torch(net, x, 2.0, example_options={"mask": mask})
    wanted = net(x, 2.0, mask).detach().numpy()
    for call in (
        lambda: ours(x.numpy(), 2.0, mask.numpy()),
        lambda: ours(x.numpy(), scale=2.0, mask=mask.numpy()),
        lambda: ours(mask=mask.numpy(), scale=2.0, x=x.numpy()),
    ):
        np.testing.assert_allclose(call().numpy(), wanted, atol=1e-6)
    with pytest.raises(ArgumentError, match="scale was 2.0 when the module was imported"):
        ours(x.numpy(), 3.0, mask.numpy())
    with pytest.raises(ArgumentError, match="'mask', which is missing"):
        ours(x.numpy(), 2.0)
    with pytest.raises(ArgumentError, match="without the argument 'mask'"):
        from_torch(net, x)(x.numpy(), mask=mask.numpy())
    assert from_torch(net, x)(x.numpy(), mask=None).shape == (6, 8)


def test_arguments_that_do_not_fit():
    ours = from_torch(Net(), numbers(6, 4))
    with pytest.raises(DTypeError, match="x was float32 .* and is float64"):
        ours(np.zeros((6, 4)))
    with pytest.raises(ShapeError, match=r"x has shape \(6, 4, 1\)"):
        ours(np.zeros((6, 4, 1), np.float32))
    with pytest.raises(ArgumentError, match="x must be a tensor"):
        ours([1.0])
    with pytest.raises(ArgumentError, match="Net.forward: too many positional"):
        ours(1, 2, 3, 4)


def test_nested_arguments():
    class Nested(nn.Module):
        def forward(self, batch: Any, extra: Any) -> Any:
            return batch["x"] + extra[0] * batch["y"][1]

    x = numbers(2, 3)
    ours = from_torch(Nested(), {"x": x, "y": [x, x * 2]}, (x,))
    x = x.numpy()
    np.testing.assert_allclose(ours({"y": (x, x * 2), "x": x}, [x]).numpy(), x + x * x * 2)
    with pytest.raises(ArgumentError, match="batch was a dict with the keys 'x', 'y'"):
        ours({"x": x}, (x,))
    with pytest.raises(ArgumentError, match=r"batch\['y'\] was a list of 2"):
        ours({"x": x, "y": [x]}, (x,))


# --- what cannot be -------------------------------------------------------------------------------


class Unusual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv3d(1, 1, 2))

    def forward(self, x: Any) -> Any:
        y = torch.fft.rfft(x).abs()
        return self.inner(x.reshape(1, 1, 2, 2, 2)).sum() + torch.special.digamma(y).sum()


def test_all_missing_operators_are_named():
    with pytest.raises(CompileError) as caught:
        from_torch(Unusual(), torch.rand(8))
    message = str(caught.value)
    assert "Unusual has operators that Smelt cannot compute" in message
    assert "aten._fft_r2c.default" in message
    assert "aten.digamma.default" in message
    assert "test_from_torch.py:" in message


def test_arguments_of_an_operator_that_smelt_lacks_are_refused_before_anything_runs():
    with pytest.raises(CompileError, match="no convolution over 3 axes") as caught:
        from_torch(nn.Sequential(nn.Conv3d(1, 1, 2)), torch.rand(1, 1, 2, 2, 2))
    assert "in module " in str(caught.value)


def test_what_torch_cannot_export():
    class Asks(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(CompileError, match="torch.export cannot write down Asks in training mode"):
        from_torch(Asks(), torch.rand(3))


def test_a_module_that_changes_its_input():
    class Changes(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.mul_(2)

    with pytest.raises(CompileError, match="changes its input 'x'"):
        from_torch(Changes(), torch.rand(3))


def test_what_is_no_module():
    with pytest.raises(ArgumentTypeError, match="needs a module of PyTorch's"):
        from_torch(lambda x: x, torch.rand(3))


def test_dtypes_that_smelt_lacks():
    class Complex(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("roots", torch.ones(2, dtype=torch.complex64))

        def forward(self, x: Any) -> Any:
            return x * 2

    with pytest.raises(DTypeError, match="complex64.*: roots"):
        from_torch(Complex(), torch.rand(3))


def test_warnings_are_pytorchs_own():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from_torch(Net(), numbers(6, 4))
    assert not [one for one in caught if "smelt" in str(one.filename)]
