"""Networks of convolutions and pooling, small and so large that they are cut into products."""

from __future__ import annotations

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType


def classifier(dtype: DType, model: nn.Module, x: Tensor, classes: int = 10) -> Training:
    """Returns the training of images to classes."""
    model = model.to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    y = labels(classes, x.shape[0])
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


@network("conv-options")
def options(dtype: DType) -> Training:
    """Small images: stride, dilation, groups, every padding, odd extents."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, (3, 2), stride=(2, 1), padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, dilation=(1, 2), padding="same", groups=4), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=2, padding_mode="reflect", groups=8, bias=False), nn.ReLU(),
        nn.Conv2d(8, 7, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        nn.Conv2d(7, 5, 4, padding="same", padding_mode="replicate"), nn.ReLU(),
        nn.Conv2d(5, 9, 1, stride=2), nn.Flatten(), nn.Linear(9 * 5 * 7, 10),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 3, 3, 13, 11))


@network("conv-large", slow=True)
def large(dtype: DType) -> Training:
    """9 images of 26x26, 32 to 64 channels, with padding, then a stride, then a dilation."""
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, dilation=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 9, 3, 28, 28))


@network("conv-groups")
def groups(dtype: DType) -> Training:
    """Larger images in groups, and each channel by itself, as in MobileNet."""
    model = nn.Sequential(
        nn.Conv2d(16, 32, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(32), nn.ReLU6(),
        nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.Hardswish(),
        nn.Conv2d(32, 33, 1), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(33, 24, 5, padding=2, groups=3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 8, 16, 20, 20))


@network("conv-deep")
def deep(dtype: DType) -> Training:
    """256 channels on small images: sums too deep for one panel; and a kernel of 7x7."""
    model = nn.Sequential(
        nn.Conv2d(3, 256, 7, stride=2, padding=3), nn.ReLU(),
        nn.Conv2d(256, 128, 3, padding=1), nn.ReLU(),
        nn.Conv2d(128, 96, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96 * 36, 10),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 5, 3, 16, 16))


@network("conv-series")
def series(dtype: DType) -> Training:
    """Convolutions and pooling along a series of 65 places."""
    model = nn.Sequential(
        nn.Conv1d(4, 16, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv1d(16, 16, 3, dilation=3, groups=2, padding="same"), nn.ReLU(), nn.MaxPool1d(2),
        nn.ConvTranspose1d(16, 8, 3, stride=2, output_padding=1), nn.ReLU(),
        nn.AvgPool1d(4, 3, padding=2), nn.AdaptiveMaxPool1d(5), nn.AdaptiveAvgPool1d(3),
        nn.Flatten(), nn.Linear(24, 10),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 7, 4, 65))


@network("conv-transposed")
def transposed(dtype: DType) -> Training:
    """An autoencoder of images, with transposed convolutions of all options."""
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(32 * 49, 12),
        nn.Linear(12, 32 * 49), nn.Unflatten(1, (32, 7, 7)), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, (2, 3), (2, 1), (0, 1), groups=2, bias=False), nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 3, (1, 2), (1, 1), (0, 1), dilation=1), nn.Sigmoid(),
    ).to(dtype)  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x = numbers(dtype, 8, 1, 28, 28).sigmoid()
    return trained(model, optimizer, lambda x: F.binary_cross_entropy(model(x), x), x)


@network("max-pool-padding")
def max_pool_padding(dtype: DType) -> Training:
    """The stem of a ResNet: a convolution, then overlapping pooling with padding."""
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 8, 3, 24, 24))


@network("max-pool-padding-small")
def max_pool_padding_small(dtype: DType) -> Training:
    """The same of very small images of odd extents."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.MaxPool2d(3, 2, 1), nn.Flatten(),
        nn.Linear(4 * 4 * 3, 5),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 3, 2, 7, 6), classes=5)


@network("max-pool-same")
def max_pool_same(dtype: DType) -> Training:
    """Pooling of 3x3 that keeps the extents, odd ones and 28x28, right behind a function."""
    shapes = (2, 3, 17, 33), (1, 1, 7, 65), (4, 1, 28, 28)
    weights = [numbers(dtype, *shape, seed=seed) for seed, shape in enumerate(shapes)]
    model = nn.ParameterList(nn.Parameter(weight) for weight in weights)
    pool = nn.MaxPool2d(3, 1, 1)

    def loss_of(x: Tensor) -> Tensor:
        return sum((pool(F.gelu(weight)) - x).square().mean() for weight in model)

    optimizer = optim.SGD(model.parameters(), lr=0.5)
    return trained(model, optimizer, loss_of, numbers(dtype))


class Inception(nn.Module):
    """Convolutions of 1x1 and 3x3 beside overlapping pooling, joined along the channels."""

    def __init__(self, channels: int) -> None:
        self.point = nn.Conv2d(channels, 5, 1)
        self.square = nn.Conv2d(channels, 7, 3, padding=1)
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(channels, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(smelt.cat([self.point(x), self.square(x), self.pooled(x)], 1))


@network("inception")
def inception(dtype: DType) -> Training:
    """Two blocks of branches on images of 17x17."""
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    model = nn.Sequential(Inception(3), Inception(16), *head)
    return classifier(dtype, model, numbers(dtype, 5, 3, 17, 17))


@network("pools")
def pools(dtype: DType) -> Training:
    """Pooling of all kinds without padding of the maxima: ceil mode, dilation, adaptive."""
    kinds: list[nn.Module] = [
        nn.MaxPool2d(2), nn.MaxPool2d((3, 2), (2, 4), ceil_mode=True), nn.MaxPool2d(5, 1),
        nn.MaxPool2d(3, 2, dilation=2), nn.AvgPool2d((7, 3)),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, padding=1, count_include_pad=False),
        nn.AvgPool2d((2, 3), divisor_override=5), nn.AdaptiveAvgPool2d((3, None)),
        nn.AdaptiveMaxPool2d((3, 4)), nn.AdaptiveMaxPool2d(1),
    ]  # fmt: skip
    model = nn.ModuleDict({"conv": nn.Conv2d(2, 6, 3), "pools": nn.ModuleList(kinds)}).to(dtype)

    def loss_of(x: Tensor) -> Tensor:
        z = F.tanh(model["conv"](x))
        return sum((pool(z) + 0.5).square().mean() for pool in model["pools"])

    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return trained(model, optimizer, loss_of, numbers(dtype, 5, 2, 13, 11))


@network("resnet")
def resnet(dtype: DType) -> Training:
    """Residual blocks of each kind with batch norm, two of which halve the image."""
    inner = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.Tanh())
    projected = nn.Sequential(nn.GroupNorm(4, 16), nn.SiLU(), nn.Conv2d(16, 24, 1))
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8, momentum=0.3), nn.ReLU(),
        nn.BasicBlock(8, 16, 2), nn.BasicBlock(16, 16), nn.HeunBlock(inner, 0.5),
        nn.Residual(projected, nn.Conv2d(16, 24, 1)), nn.BasicBlock(24, 32, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    return classifier(dtype, model, numbers(dtype, 8, 3, 16, 16))


@network("filters")
def filters(dtype: DType) -> Training:
    """Learned filters by `convolve` and `correlate`, and padding of every kind."""
    kernel = nn.Parameter(numbers(dtype, 5, seed=1, scale=0.5))
    square = nn.Parameter(numbers(dtype, 3, 3, seed=2, scale=0.5))
    model = nn.ParameterList([kernel, square])

    def loss_of(signal: Tensor, image: Tensor, wanted: Tensor) -> Tensor:
        full = F.convolve(signal, kernel, "full")[2:-2]
        same = F.correlate(image, square, "same")
        padded = [F.pad(image, (1, 2, 2, 1), mode) for mode in ("reflect", "replicate", "circular")]
        near = sum(F.correlate(x, square, "valid").square().mean() for x in padded)
        return F.mse_loss(full, wanted) + same.square().mean() + near

    optimizer = optim.SGD(model.parameters(), lr=0.01)
    signal, image = numbers(dtype, 131, seed=3), numbers(dtype, 17, 23, seed=4)
    return trained(model, optimizer, loss_of, signal, image, numbers(dtype, 131, seed=5))
