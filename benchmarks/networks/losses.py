"""Networks for the losses: of numbers, of classes, with margins; rows of 10 and of 1000 classes."""

from __future__ import annotations

from collections.abc import Callable

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, shares, signs, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType

Loss = Callable[[Tensor], Tensor]


def heads(dtype: DType, losses: list[Loss], width: int) -> Training:
    """Returns the training of one hidden layer with a head for each loss."""
    hidden = nn.Sequential(nn.Linear(9, 33), nn.Tanh())
    model = nn.ModuleList([hidden, *(nn.Linear(33, width) for _ in losses)]).to(dtype)

    def loss_of(x: Tensor) -> Tensor:
        first, *heads = model
        h = first(x)
        losses_of_heads = [loss(head(h)) for head, loss in zip(heads, losses, strict=True)]
        return smelt.stack(losses_of_heads).sum()

    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    return trained(model, optimizer, loss_of, numbers(dtype, 17, 9))


@network("losses-of-numbers")
def of_numbers(dtype: DType) -> Training:
    """Squared, absolute, Huber's, Poisson's and Gauss's losses, with every reduction."""
    y, positive = numbers(dtype, 17, 3, seed=1), shares(dtype, 17, 3, seed=2)
    losses: list[Loss] = [
        lambda x: nn.MSELoss()(x, y),
        lambda x: nn.MSELoss("none")(x, y).square().mean(),
        lambda x: nn.L1Loss("sum")(x, y) / 51,
        lambda x: nn.SmoothL1Loss(beta=0.7)(x, y),
        lambda x: nn.HuberLoss("none", delta=0.7)(x, y).mean(),
        lambda x: nn.PoissonNLLLoss()(x, positive),
        lambda x: nn.PoissonNLLLoss(log_input=False)(F.softplus(x), positive),
        lambda x: nn.GaussianNLLLoss(full=True)(x, y, F.softplus(x + 0.5)),
        lambda x: F.squared_error(x, y),
    ]
    return heads(dtype, losses, 3)


@network("losses-of-classes")
def of_classes(dtype: DType) -> Training:
    """Losses of ten classes and of two, with weights, smoothing and labels that do not count."""
    y, two = labels(10, 17, seed=1), labels(2, 17, 10, seed=2).to(dtype)
    soft = F.softmax(numbers(dtype, 17, 10, seed=3), -1)
    weight, sign = shares(dtype, 10, seed=4), signs(dtype, 17, 10, seed=5)
    losses: list[Loss] = [
        lambda x: nn.CrossEntropyLoss()(x, y),
        lambda x: nn.CrossEntropyLoss(weight, 2, label_smoothing=0.1)(x, y),
        lambda x: nn.CrossEntropyLoss()(x, soft),
        lambda x: nn.NLLLoss(weight, 1)(F.log_softmax(x, -1), y),
        lambda x: nn.BCELoss(weight)(F.sigmoid(x), two),
        lambda x: nn.BCEWithLogitsLoss(pos_weight=weight)(x, two),
        lambda x: nn.KLDivLoss("batchmean")(F.log_softmax(x, -1), soft),
        lambda x: nn.KLDivLoss(log_target=True)(F.log_softmax(x, -1), soft.log()),
        lambda x: nn.SoftMarginLoss()(x, sign),
        lambda x: F.hinge_loss(x, sign),
        lambda x: F.mse_loss(F.softmax(x), F.one_hot(y, 10).to(dtype)),
    ]
    return heads(dtype, losses, 10)


@network("losses-with-margins")
def with_margins(dtype: DType) -> Training:
    """Losses that compare: rankings, angles, triplets."""
    sign, each = signs(dtype, 17, seed=1), signs(dtype, 17, 9, seed=2)
    losses: list[Loss] = [
        lambda x: nn.HingeEmbeddingLoss(0.5)(x, each),
        lambda x: nn.CosineEmbeddingLoss(0.1)(x, x.roll(1, 0), sign),
        lambda x: nn.MarginRankingLoss(0.2)(x[:, 0], x[:, 1], sign),
        lambda x: nn.TripletMarginLoss()(x[:, :3], x[:, 3:6], x[:, 6:]),
        lambda x: nn.TripletMarginLoss(p=1.5, reduction="sum")(x[:, :3], x[:, 3:6], x[:, 6:]),
    ]
    return heads(dtype, losses, 9)


@network("thousand-classes")
def thousand_classes(dtype: DType) -> Training:
    """Softmax over rows of 1000, beside its largest, its spread and its running sums."""
    model = nn.Sequential(nn.Linear(33, 65), nn.ReLU(), nn.Linear(65, 1000)).to(dtype)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        logits = model(x)
        p = F.softmax(logits, -1)
        spread = logits.std(-1).mean() + logits.logsumexp(-1).mean() - logits.amax(-1).mean()
        return F.cross_entropy(logits, y) + 0.1 * spread + p.cumsum(-1).square().mean()

    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    return trained(model, optimizer, loss_of, numbers(dtype, 31, 33), labels(1000, 31))


@network("reductions")
def reductions(dtype: DType) -> Training:
    """Sums, products, extremes, spreads and norms, along every axis, of long and short rows."""
    weight = nn.Parameter(numbers(dtype, 17, 130, seed=1))
    model = nn.ParameterList([weight])

    def loss_of(x: Tensor) -> Tensor:
        z = smelt.tanh(x * weight)  # (33, 17, 130)
        values = [
            z.sum((0, 2)).square().mean(), z.mean(1).norm(3), z.var((1, 2)).mean(),
            (1.0 + 0.01 * z).prod(2).mean(), z.amax(0).sum() / 100, z.amin(2).mean(),
            (1.0 + 0.01 * z).cumprod(1).mean(), z.norm(1, -1).mean(), z.norm(float("inf")),
            z.max(1)[0].mean(), z.min(0)[0].mean(), z.cumsum(0).square().mean() / 100,
            z.reshape(-1).logsumexp(0), z.std(), z.norm("fro", (0, 1)).mean(),
        ]  # fmt: skip
        return smelt.stack([value.reshape(()) for value in values]).sum()

    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return trained(model, optimizer, loss_of, numbers(dtype, 33, 17, 130))
