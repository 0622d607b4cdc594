"""Networks of products of matrices: odd, deep, wide, turned; activations, first values, norms."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import smelt
import smelt.nn.functional as F
from networks.network import Training, call, labels, network, numbers, repeat, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType
from smelt.nn import init


@network("activations")
def activations(dtype: DType) -> Training:
    """Every activation, side by side on parts of one wide layer."""
    kinds = [
        nn.CELU(0.7), nn.ELU(0.7), nn.GELU(), nn.GELU("tanh"), nn.GLU(), nn.Hardsigmoid(),
        nn.Hardswish(), nn.Hardtanh(-0.5, 0.8), nn.LeakyReLU(0.2), nn.LogSigmoid(),
        nn.LogSoftmax(-1), nn.Mish(), nn.PReLU(4, 0.3), nn.ReLU(), nn.ReLU6(), nn.SELU(),
        nn.SiLU(), nn.Sigmoid(), nn.Softmax(-1), nn.Softmin(0), nn.Softplus(1.5, 2.0),
        nn.Softsign(), nn.Tanh(),
    ]  # fmt: skip
    width = 4 * len(kinds)
    modules = {"first": nn.Linear(17, width), "acts": nn.ModuleList(kinds)}
    model = nn.ModuleDict({**modules, "last": nn.Linear(width - 2, 3)}).to(dtype)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        pieces = zip(model["acts"], model["first"](x).chunk(len(kinds), -1), strict=True)
        return F.mse_loss(model["last"](smelt.cat([act(piece) for act, piece in pieces], -1)), y)

    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = numbers(dtype, 33, 17), numbers(dtype, 33, 3, seed=1)
    return trained(model, optimizer, loss_of, x, y)


@network("odd-sizes")
def odd_sizes(dtype: DType) -> Training:
    """Layers of 1, 3, 7, 17, 33 and 65 units, for 7 samples."""
    extents = (1, 3, 7, 17, 33, 65, 33, 1)
    model = nn.Sequential(nn.Identity())
    for inner, outer in pairwise(extents):
        model.extend([nn.Linear(inner, outer), nn.Tanh()])
    model = model.to(dtype)
    optimizer = optim.SGD(
        model.parameters(), lr=0.05, momentum=0.8, nesterov=True, weight_decay=1e-3
    )
    x, y = numbers(dtype, 7, 1), numbers(dtype, 7, 1, seed=1)
    return trained(model, optimizer, lambda x, y: F.mse_loss(model(x), y), x, y)


@network("deep-products")
def deep_products(dtype: DType) -> Training:
    """Sums of 5000, 2500, 300 and 700 products, also in the gradients by the weights."""
    layers = nn.Linear(5000, 48), nn.ReLU(), nn.Linear(48, 2500), nn.ReLU()
    head = nn.Linear(2500, 300), nn.ReLU(), nn.Linear(300, 10)
    model = nn.Sequential(*layers, *head).to(dtype)
    optimizer = optim.RMSprop(model.parameters(), lr=1e-4)
    x, y = numbers(dtype, 40, 5000), labels(10, 40)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


@network("tall-products")
def tall_products(dtype: DType) -> Training:
    """3000 rows of 9: the gradients by the weights are sums over all rows."""
    model = nn.Sequential(nn.Linear(9, 65), nn.SiLU(), nn.Linear(65, 5)).to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    x, y = numbers(dtype, 3000, 9), labels(5, 3000)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


@network("wide-products")
def wide_products(dtype: DType) -> Training:
    """A layer of 3000 units between 20 and 7."""
    model = nn.Sequential(nn.Linear(20, 3000), nn.ReLU(), nn.Linear(3000, 7, bias=False)).to(dtype)
    optimizer = optim.Adagrad(model.parameters(), lr=1e-2)
    x, y = numbers(dtype, 65, 20), labels(7, 65)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


@network("turned-products")
def turned_products(dtype: DType) -> Training:
    """Products of all forms: either side turned, batches, vectors, einsum, bilinear."""
    values = {
        "square": numbers(dtype, 33, 33, seed=1, scale=0.2),
        "batch": numbers(dtype, 3, 33, 17, seed=2, scale=0.2),
        "vector": numbers(dtype, 33, seed=3),
    }
    learned = {name: nn.Parameter(value) for name, value in values.items()}
    held = nn.ParameterList(learned.values())
    bilinear = nn.Bilinear(17, 7, 5).to(dtype)

    def loss_of(x: Tensor, matrices: Tensor) -> Tensor:
        w, b, v = learned["square"], learned["batch"], learned["vector"]
        products = x.T @ (x @ w) + (w.T @ x.T) @ x + smelt.outer(v, v)  # (33, 33)
        rows = smelt.bmm(products.expand(3, 33, 33), b) + products.T @ b  # (3, 33, 17)
        mixed = smelt.einsum("bij,bik->bjk", rows, b) @ smelt.tril(w)[:17, :17]
        added = smelt.addmm(smelt.triu(w), products, w, beta=0.5, alpha=0.1)
        heads = bilinear(mixed[:, :7], matrices)  # (3, 7, 5)
        last = smelt.dot(v, added @ v) + smelt.diagonal(added).sum()
        return heads.square().mean() + 1e-3 * last + rows.square().mean()

    model = nn.ModuleList([held, bilinear])
    optimizer = optim.Adam(model.parameters(), lr=1e-2, amsgrad=True)
    x, matrices = numbers(dtype, 65, 33, scale=0.2), numbers(dtype, 3, 7, 7, seed=4)
    return trained(model, optimizer, loss_of, x, matrices)


@network("digits-over", run=lambda step, arrays, steps: over(step, arrays, steps))
def digits(dtype: DType) -> Training:
    """The README's network, 64-128-64-10 with Adam, by `over` with shuffling: 4 batches of 64."""
    layers = nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
    model = nn.Sequential(*layers, nn.Linear(64, 10)).to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, y = numbers(dtype, 256, 8, 8), labels(10, 256)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


def over(step: Any, arrays: tuple[Tensor, ...], steps: int) -> list[Tensor]:
    """Runs steps over the rows of the arrays, four batches an epoch; one step by a call."""
    if steps < 4:
        return call(step, arrays, steps)
    size = arrays[0].shape[0] // 4
    return [step.over(*arrays, batch_size=size, shuffle=True, epochs=steps // 4)]


@network("first-values", run=repeat)
def first_values(dtype: DType) -> Training:
    """Layers that begin with values of every kind of `nn.init`, by `repeat`."""
    fillers = [
        init.zeros_, init.ones_, init.eye_, init.orthogonal_, init.xavier_uniform_,
        init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_, init.trunc_normal_,
        init.normal_, init.uniform_, lambda x: init.constant_(x, 0.1),
    ]  # fmt: skip
    layers = [nn.Linear(13, 13) for _ in fillers]
    for fill, layer in zip(fillers, layers, strict=True):
        fill(layer.weight)
    model = nn.ModuleList(layers).to(dtype)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        total = x
        for layer in model:
            total = total + smelt.tanh(layer(x))
        return F.l1_loss(total, y) + F.mse_loss(total, y)

    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    x, y = numbers(dtype, 31, 13), numbers(dtype, 31, 13, seed=1)
    return trained(model, optimizer, loss_of, x, y)


@network("norms")
def norms(dtype: DType) -> Training:
    """Every norm, with and without weights, along odd extents."""
    model = nn.ModuleDict(
        {
            "batch": nn.BatchNorm1d(33),
            "length": nn.BatchNorm1d(3, momentum=None),
            "plain": nn.BatchNorm1d(33, affine=False, track_running_stats=False, eps=1e-2),
            "layer": nn.LayerNorm(33),
            "two": nn.LayerNorm((3, 11), bias=False),
            "group": nn.GroupNorm(3, 33),
            "first": nn.Linear(7, 33),
            "last": nn.Linear(33, 5),
        }
    ).to(dtype)
    scale = nn.Parameter(numbers(dtype, 33, seed=5))
    cosine = nn.CosineSimilarity(dim=1)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        z = model["first"](x)
        z = model["layer"](smelt.tanh(model["batch"](z))) + model["plain"](z)
        z = model["length"](z.reshape(-1, 3, 11)) + model["two"](z.reshape(-1, 3, 11))
        z = model["group"](z.flatten(1)) + F.rms_norm(z.flatten(1), 33, scale)
        logits = model["last"](z)
        near = cosine(logits, F.normalize(logits + 1.0, dim=1)).mean()
        return F.cross_entropy(logits, y) + 0.1 * near

    modules = nn.ModuleList([model, nn.ParameterList([scale])])
    optimizer = optim.SGD(modules.parameters(), lr=0.05, momentum=0.9)
    x, y = numbers(dtype, 65, 7), labels(5, 65)
    return trained(modules, optimizer, loss_of, x, y)
