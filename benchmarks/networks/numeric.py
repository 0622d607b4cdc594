"""Networks for the number types: half types, float64, integers, bools; elementary functions."""

from __future__ import annotations

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, shares, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType, bfloat16, float16, float64, int32, int64


def perceptron(dtype: DType) -> Training:
    """Odd layers with a norm and dropout, for 33 samples."""
    layers = nn.Linear(17, 65), nn.LayerNorm(65), nn.GELU(), nn.Dropout(0.1), nn.Linear(65, 33)
    model = nn.Sequential(*layers, nn.Tanh(), nn.Linear(33, 10)).to(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = numbers(dtype, 33, 17), labels(10, 33)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


def images(dtype: DType) -> Training:
    """Convolutions, batch norm and pooling."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ).to(dtype)  # fmt: skip
    optimizer = optim.AdamW(model.parameters(), lr=1e-2, eps=1e-4)
    x, y = numbers(dtype, 8, 3, 16, 16), labels(10, 8)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


def words(dtype: DType) -> Training:
    """Embeddings, an LSTM and attention."""
    layer = nn.TransformerEncoderLayer(24, 3, 40, 0.0)
    modules = {"table": nn.Embedding(29, 24), "lstm": nn.LSTM(24, 24), "block": layer}
    model = nn.ModuleDict({**modules, "head": nn.Linear(24, 29)}).to(dtype)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        z, _ = model["lstm"](model["table"](x))
        logits = model["head"](model["block"](z, is_causal=True))
        return F.cross_entropy(logits.reshape(-1, 29), y.reshape(-1))

    optimizer = optim.Adam(model.parameters(), lr=1e-2, eps=1e-4)
    return trained(model, optimizer, loss_of, labels(29, 9, 7), labels(29, 9, 7, seed=1))


for kind in (float16, bfloat16, float64):
    for build in (perceptron, images, words):
        network(f"{build.__name__}-{kind.name}", dtype=kind, slow=build is words)(build)


@network("mixed-precision")
def mixed_precision(dtype: DType) -> Training:
    """Weights as float32, products of bfloat16 and float16, a loss that is scaled."""
    model = nn.Sequential(nn.Linear(17, 65), nn.Tanh(), nn.Linear(65, 7)).to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Tensor, y: Tensor) -> Tensor:
        first, _, last = model
        h = smelt.tanh(F.linear(x.to(bfloat16), first.weight.to(bfloat16))).to(dtype) + first.bias
        logits = F.linear(h.to(float16), last.weight.to(float16)).to(dtype) + last.bias
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        (128.0 * loss).backward()
        for parameter in model.parameters():
            parameter.grad = parameter.grad / 128.0
        optimizer.step()
        return loss

    return Training(step, (numbers(dtype, 33, 17), labels(7, 33)), model, (optimizer,))


@network("whole-numbers")
def whole_numbers(dtype: DType) -> Training:
    """Arithmetic, comparisons and bits of int32, int64 and bool, which choose and weigh."""
    model = nn.Embedding(31, 5).to(dtype)
    seen = smelt.zeros(31, dtype=int64)

    def loss_of(a: Tensor, b: Tensor) -> Tensor:
        mixed = (a**2 * 7 + b // 3 - (a % 4) + smelt.sign(a - b)) % 31
        small, odd = mixed < 11, (mixed % 2 == 1) & ~(a == b) | (b > 20)
        chosen = smelt.where(small ^ odd, mixed, smelt.minimum(a, b))
        with smelt.no_grad():
            seen.copy_(seen + F.one_hot(chosen, 31).sum(0))
        rows = model(smelt.clamp(chosen, 0, 30).to(int32))
        weight = (1 + smelt.abs(a - b).to(int32) + (a % 3).bool().to(int32)).to(dtype)
        last = (rows.square().sum(-1) * weight).mean() + rows[odd.argmax()].sum()
        return last + seen.sum().to(dtype) * 1e-3 + small.any().to(dtype) + odd.all().to(dtype)

    optimizer = optim.SGD(model.parameters(), lr=0.01)
    return trained(model, optimizer, loss_of, labels(31, 65), labels(31, 65, seed=1))


@network("elementary")
def elementary(dtype: DType) -> Training:
    """Every elementary function of one number and of two, on a length that is odd."""
    weight = nn.Parameter(shares(dtype, 131, seed=1))
    model = nn.ParameterList([weight])

    def loss_of(x: Tensor) -> Tensor:
        z = 0.9 * smelt.tanh(x) * weight  # between -1 and 1
        p = smelt.abs(z) + 0.1
        values = [
            smelt.acos(z), smelt.asin(z), smelt.atan(z), smelt.atan2(z, p), smelt.cos(z),
            smelt.cosh(z), smelt.erf(z), smelt.exp(z), smelt.exp2(z), smelt.expm1(z),
            smelt.log(p), smelt.log1p(p), smelt.log2(p), smelt.log10(p), smelt.pow(p, z),
            smelt.pow(z, 3), smelt.reciprocal(p), smelt.rsqrt(p), smelt.sin(z), smelt.sinh(z),
            smelt.sqrt(p), smelt.square(z), smelt.tan(z), smelt.lerp(z, p, 0.3), smelt.sign(z) * z,
            smelt.clamp(z, -0.4, 0.5), smelt.maximum(z, x), smelt.minimum(z, p), z % p, -z / p,
            smelt.floor(z) + smelt.ceil(z) + smelt.trunc(z) + smelt.round(3.0 * z),
            F.heaviside(z), F.step(z), smelt.nan_to_num(z / p), F.identity(z) * z,
            smelt.where(smelt.isfinite(z) & ~smelt.isnan(z) & ~smelt.isinf(z), z, 0.0),
        ]  # fmt: skip
        return smelt.stack([half.square().mean() for half in values]).sum()

    optimizer = optim.SGD(model.parameters(), lr=0.05)
    return trained(model, optimizer, loss_of, numbers(dtype, 9, 131))


@network("shapes")
def shapes(dtype: DType) -> Training:
    """Movements of every kind between products: joined, cut, turned, repeated, shifted."""
    model = nn.Sequential(nn.Linear(12, 24), nn.Linear(24, 12)).to(dtype)

    def loss_of(x: Tensor) -> Tensor:
        z = model[0](x).reshape(15, 4, 6).permute(2, 0, 1)  # (6, 15, 4)
        z = smelt.cat([z[::2], z[1::2].flip(1)], 0).movedim(0, -1)  # (15, 4, 6)
        a, b, c = z.split([1, 3, 2], -1)
        z = smelt.stack([a.repeat(1, 1, 2), b[..., :2], c.roll(1, 0)], 1)  # (15, 3, 4, 2)
        first_row = z.narrow(1, 0, 1).expand(15, 3, 4, 2)[:, :1, 1:2, 0]  # (15, 1, 1)
        z = smelt.tanh(z).transpose(1, 2).reshape(15, 2, 12) + first_row
        first, second = (model[1](half @ model[0].weight.T[:, :24]) for half in z.unbind(1))
        return (first - second.flip(0)).square().mean() + F.pad(first, (2, 1)).squeeze().mean()

    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return trained(model, optimizer, loss_of, numbers(dtype, 15, 12))
