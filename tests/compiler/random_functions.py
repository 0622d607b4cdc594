"""Functions of tensors as layers of random steps: shapes, reductions, indexing, joins, masks."""

from __future__ import annotations

import math

import smelt
from smelt import nn
from smelt.nn import functional as F
from tests.compiler.random_draws import Apply, Draws, layer, shuffled

ELEMENTARY = {
    "sin": smelt.sin, "cos": smelt.cos, "atan": smelt.atan, "erf": smelt.erf, "abs": smelt.abs,
    "square": smelt.square, "exp(-x^2)": lambda x: smelt.exp(-x * x),
    "log1p(x^2)": lambda x: smelt.log1p(x * x), "sqrt(x^2 + 1)": lambda x: smelt.sqrt(x * x + 1),
    "expm1(tanh)": lambda x: smelt.expm1(smelt.tanh(x)), "rsqrt": lambda x: smelt.rsqrt(x * x + 1),
    "clamp": lambda x: smelt.clamp(x, -0.7, 0.9), "atan2": lambda x: smelt.atan2(x, x * x + 1),
    "x / (1 + |x|)": lambda x: x / (1 + smelt.abs(x)), "sinh(tanh)": lambda x: smelt.sinh(x.tanh()),
    "lerp": lambda x: smelt.lerp(x, smelt.sin(x), 0.3), "pow": lambda x: (x * x + 0.5) ** 1.5,
    "asin": lambda x: smelt.asin(0.9 * x.tanh()), "round": lambda x: x + 0.1 * smelt.round(x),
    "floor": lambda x: x - smelt.floor(x), "sign": lambda x: x + 0.3 * smelt.sign(x),
    "exp2": lambda x: smelt.exp2(-smelt.abs(x)), "log2": lambda x: smelt.log2(x * x + 1),
}  # fmt: skip


@layer(times=2)
def elementary(draws: Draws, x: smelt.Tensor) -> nn.Module:
    name = draws.of(*ELEMENTARY)
    return Apply(name, ELEMENTARY[name])


@layer()
def scaled(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x, 1)
    shape = [extent if place == axis else 1 for place, extent in enumerate(x.shape)]
    return Apply("x * w + w[-1]", lambda x, w: x * w + w.reshape(-1)[-1], draws.normal(*shape))


# --- shapes ---------------------------------------------------------------------------------------


@layer()
def permuted(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axes = [0, *shuffled(draws, range(1, x.ndim))]
    return Apply(f"permute{tuple(axes)}", lambda x: x.permute(*axes))


@layer(times=2)
def reshaped(draws: Draws, x: smelt.Tensor) -> nn.Module:
    """Other axes behind the first one, two or three of them."""
    total = math.prod(x.shape[1:])
    first = draws.divisor(total)
    second = draws.divisor(total // first)
    shapes = ((total,), (first, total // first), (first, second, total // first // second))
    shape = (x.shape[0], *draws.of(*shapes))
    return Apply(f"reshape{shape}", lambda x: x.reshape(shape))


@layer(times=2)
def padded(draws: Draws, x: smelt.Tensor) -> nn.Module:
    mode = draws.of("constant", "constant", "reflect", "replicate", "circular")
    low = -1 if mode == "constant" else 0
    counts = [draws.number(low, 3) for _ in range(2 * draws.number(1, x.ndim - 1))]
    value = draws.of(0.0, 0.0, 0.7) if mode == "constant" else 0.0
    return Apply(f"pad({counts}, {mode}, {value})", lambda x: F.pad(x, counts, mode, value))


@layer()
def turned(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis, shift = draws.axis(x), draws.number(-2, 3)
    if draws.chance():
        return Apply(f"flip({axis})", lambda x: smelt.flip(x, axis))
    return Apply(f"roll({shift}, {axis})", lambda x: smelt.roll(x, shift, axis))


@layer(times=2)
def sliced(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x, 1)
    extent = x.shape[axis]
    start, step = draws.number(0, extent // 3), draws.of(1, 1, 2, 3)
    places = slice(start, extent - draws.number(0, extent // 3), step)
    index = (slice(None),) * axis + (places,)
    return Apply(f"x[{places} of axis {axis}]", lambda x: x[index])


@layer()
def repeated(draws: Draws, x: smelt.Tensor) -> nn.Module:
    times = [1, *[draws.of(1, 1, 2) for _ in range(x.ndim - 1)]]
    return Apply(f"repeat({times})", lambda x: x.repeat(*times))


# --- sums along axes ------------------------------------------------------------------------------


@layer()
def running(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x)
    if draws.chance(0.3):
        return Apply(f"cumprod(tanh, {axis})", lambda x: smelt.cumprod(smelt.tanh(x) + 0.3, axis))
    return Apply(f"cumsum({axis}) / 2", lambda x: 0.5 * smelt.cumsum(x, axis))


@layer(times=2)
def reduced(draws: Draws, x: smelt.Tensor) -> nn.Module:
    """A reduction, subtracted from or divided into what it was taken of."""
    axes = tuple(sorted(shuffled(draws, range(x.ndim))[: draws.number(1, x.ndim)]))
    kinds = {
        "mean": lambda x: x.mean(axes, True), "sum": lambda x: 0.1 * x.sum(axes, True),
        "amax": lambda x: x.amax(axes, True), "amin": lambda x: x.amin(axes, True),
        "norm": lambda x: (x.square().sum(axes, True) + 0.1).sqrt(),
        "logsumexp": lambda x: smelt.logsumexp(x, axes, True),
        "var": lambda x: x.var(axes, 0, True),
        "std": lambda x: (x + smelt.sin(3 * x)).var(axes, 0, True).add(0.1).sqrt(),
        "prod": lambda x: smelt.tanh(x.sin().prod(axes, True)),
    }  # fmt: skip
    name = draws.of(*kinds)
    function = kinds[name]
    if draws.chance(0.3):
        return Apply(f"x / (1 + |{name}|), {axes}", lambda x: x / (1 + smelt.abs(function(x))))
    return Apply(f"x - {name}(x, {axes})", lambda x: x - function(x))


@layer(3, 4)
def reduced_away(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis, name = draws.axis(x, 1), draws.of("mean", "amax", "sum", "norm", "max", "logsumexp")

    def run(x: smelt.Tensor) -> smelt.Tensor:
        if name == "max":
            return x.max(axis)[0]
        return x.norm(2, axis) if name == "norm" else getattr(x, name)(axis)

    return Apply(f"{name}({axis})", run)


@layer()
def normalized(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis, power = draws.axis(x, 1), draws.of(1.0, 2.0, 3.0)
    return Apply(f"normalize({power}, {axis})", lambda x: F.normalize(x, power, axis, 0.1))


# --- joins ----------------------------------------------------------------------------------------


@layer(times=2)
def joined(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis, second = draws.axis(x, 1), draws.of(*ELEMENTARY)
    function, few = ELEMENTARY[second], draws.chance()

    def run(x: smelt.Tensor) -> smelt.Tensor:
        part = x.narrow(axis, 0, (x.shape[axis] + 1) // 2) if few else x
        return smelt.cat([x, function(part), x], axis)

    return Apply(f"cat([x, {second}, x], {axis}), half={few}", run)


@layer(2, 3)
def stacked(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis, count = draws.number(1, x.ndim), draws.number(2, 3)

    def run(x: smelt.Tensor) -> smelt.Tensor:
        return smelt.stack([x * (number + 0.5) for number in range(count)], axis).sin()

    return Apply(f"sin(stack of {count}, {axis})", run)


@layer()
def parts(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x, 1)
    size = draws.number(1, x.shape[axis])

    def run(x: smelt.Tensor) -> smelt.Tensor:
        first, *rest = smelt.split(x, size, axis)
        return smelt.cat([*rest[:6], smelt.tanh(first)], axis)

    return Apply(f"cat of split({size}, {axis}), the first one last", run)


@layer(2, 3)
def product_with_itself(draws: Draws, x: smelt.Tensor) -> nn.Module:
    if x.ndim == 2:
        return Apply("(x @ x.T).tanh() @ x", lambda x: (x @ x.T / x.shape[1]).tanh() @ x)
    return Apply("x @ x.mT", lambda x: (x @ x.mT) / x.shape[-1])


@layer(3)
def sum_of_products(draws: Draws, x: smelt.Tensor) -> nn.Module:
    text = draws.of("bij,kj->bik", "bij,ki->bkj", "bij,kij->bk", "bij,bij,ki->bkj")
    shape = {"bij,kj->bik": x.shape[2:], "bij,kij->bk": x.shape[1:]}.get(text, x.shape[1:2])
    own = draws.normal(draws.width(17), *shape, scale=shape[-1] ** -0.5)
    twice = text.count(",") == 2
    operands = (lambda x, w: (x, x.sin(), w)) if twice else (lambda x, w: (x, w))
    return Apply(f"einsum({text})", lambda x, w: smelt.einsum(text, *operands(x, w)), own)


# --- masks and places -----------------------------------------------------------------------------


@layer()
def masked(draws: Draws, x: smelt.Tensor) -> nn.Module:
    kept = draws.mask(*x.shape[1:])
    kind = draws.of("where", "fill", "sign", "tril")

    def run(x: smelt.Tensor) -> smelt.Tensor:
        mask = smelt.tensor(kept)
        if kind == "fill":
            return smelt.masked_fill(x, mask, 0.3)
        if kind == "tril":
            return smelt.tril(x) + smelt.triu(x.sin(), 1)
        return smelt.where(x > 0.1 if kind == "sign" else mask, x.sin(), 0.2 * x)

    return Apply(f"masked by {kind}", run)


@layer(times=2)
def picked(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x, 1)
    count = draws.number(1, 2 * min(x.shape[axis], 9))
    places = draws.random.integers(0, x.shape[axis], count)
    return Apply(
        f"index_select({axis}, {places})",
        lambda x: smelt.index_select(x, axis, smelt.tensor(places)),
    )


@layer()
def gathered(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x)
    places = draws.random.integers(0, x.shape[axis], x.shape)
    kind = draws.of("gather", "scatter_add")

    def run(x: smelt.Tensor) -> smelt.Tensor:
        index = smelt.tensor(places)
        if kind == "gather":
            return smelt.gather(x, axis, index)
        return smelt.scatter_add(x, axis, index, smelt.sin(x))

    return Apply(f"{kind} along {axis}", run)


@layer()
def sorted_values(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis, down = draws.axis(x), draws.chance()
    if draws.chance() and axis:
        count = draws.number(1, min(x.shape[axis], 9))
        return Apply(f"topk({count}, {axis})", lambda x: smelt.topk(x, count, axis)[0])
    return Apply(f"sort({axis}, {down})", lambda x: smelt.sort(x, axis, down)[0])


@layer()
def replaced(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x, 1)
    start = draws.number(0, x.shape[axis] - 1)
    index = (slice(None),) * axis + (slice(start, start + draws.number(1, 4)),)
    kind = draws.of("set", "add")

    def run(x: smelt.Tensor) -> smelt.Tensor:
        return getattr(x.at[index], kind)(smelt.cos(x[index]))

    return Apply(f"x.at[{index[-1]} of axis {axis}].{kind}(cos)", run)


@layer()
def chosen_by_the_largest(draws: Draws, x: smelt.Tensor) -> nn.Module:
    classes = x.shape[-1]

    def run(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
        largest = smelt.argmax(x, -1)
        return F.one_hot(largest, classes).to(x.dtype) * w + x * w[smelt.argmin(x, -1)].unsqueeze(
            -1
        )

    return Apply("one_hot(argmax) * w + x * w[argmin]", run, draws.normal(classes))
