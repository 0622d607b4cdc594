"""Values that left their trace: whatever is done with them works, or says which trace they left."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim
from smelt.data import DataLoader, TensorDataset
from smelt.errors import TraceError
from smelt.tracing.engine import EAGER, context

X = smelt.ones(2, 3)
WEIGHT = nn.Parameter(smelt.ones(3, 3))
Use = Callable[[Tensor], Any]


def of_step(kept: list[Tensor]) -> None:
    smelt.compile(lambda x: (kept.append(x @ WEIGHT), x.sum())[1])(X)


def of_argument(kept: list[Tensor]) -> None:
    smelt.compile(lambda x: (kept.append(x), x.sum())[1])(X)


def of_loop(kept: list[Tensor]) -> None:
    def step(x: Tensor) -> Any:
        return smelt.scan(lambda h, row: (h + row, kept.append(h + row)), X, x)

    smelt.compile(step)(smelt.ones(4, 2, 3))


def of_branch(kept: list[Tensor]) -> None:
    def step(x: Tensor) -> Any:
        return smelt.cond(x.sum() > 0, lambda: (kept.append(x * 2), x)[1], lambda: x)

    smelt.compile(step)(X)


def of_examples(kept: list[Tensor]) -> None:
    smelt.vmap(lambda x: (kept.append(x * 2), x)[1])(smelt.ones(4, 2, 3))


def of_examples_in_a_step(kept: list[Tensor]) -> None:
    smelt.compile(smelt.vmap(lambda x: (kept.append(x * 2), x)[1]))(smelt.ones(4, 2, 3))


def of_gradient(kept: list[Tensor]) -> None:
    smelt.compile(smelt.grad(lambda x: (kept.append(x * 2), (x**2).sum())[1]))(X)


LEAKS = [of_step, of_argument, of_loop, of_branch, of_examples, of_examples_in_a_step, of_gradient]


def with_gradient(v: Tensor, use: Callable[[nn.Parameter], object]) -> None:
    parameter = nn.Parameter(smelt.ones(2, 3))
    parameter.grad = v
    use(parameter)


def with_weight(v: Tensor) -> Tensor:
    layer = nn.Linear(3, 2)
    layer.weight = v
    return layer(X)


def with_buffer(v: Tensor) -> Any:
    module = nn.Module()
    module.register_buffer("buffer", v)
    return module.state_dict()["buffer"].numpy()


def saved(v: Tensor) -> None:
    pytest.importorskip("safetensors")
    from smelt.export import save_file

    save_file({"a": v}, Path("never.safetensors"))


def compiled(function: Use) -> Use:
    """Inside another compiled step."""
    return lambda v: smelt.compile(lambda x: function(v) + x)(X)


PYTHON: dict[str, Use] = {
    "bool": lambda v: bool(v.sum()), "float": lambda v: float(v.sum()), "range": lambda v: range(v),
    "int": lambda v: int(v.sum()), "index": lambda v: [1, 2][v], "str": str, "format": format,
    "iterate": list, "unpack": lambda v: (lambda a, b: a)(*v), "in": lambda v: 1 in v,
    "among": lambda v: v in [X], "equal": lambda v: v == X, "sorted": lambda v: sorted([v, X]),
    "sum": sum, "max": lambda v: max(v, X), "abs": abs, "divmod": lambda v: divmod(v, 2),
    "add": lambda v: v + 1, "from the right": lambda v: 2**v, "matmul": lambda v: v @ WEIGHT,
    "deepcopy": copy.deepcopy, "pickle": pickle.dumps, "copy": lambda v: copy.copy(v).numpy(),
    "item": lambda v: v.sum().item(), "tolist": lambda v: v.tolist(), "numpy": lambda v: v.numpy(),
}  # fmt: skip
NUMPY: dict[str, Use] = {
    "asarray": np.asarray, "array": np.array, "add": lambda v: np.add(v, 1), "sum": np.sum,
    "concatenate": lambda v: np.concatenate([v, v]), "allclose": lambda v: np.allclose(v, X),
    "times": lambda v: np.ones((2, 3)) * v, "where": lambda v: np.where(v, 1, 2), "exp": np.exp,
    "list": lambda v: np.array([v, v]), "from_dlpack": np.from_dlpack,
    "assign": lambda v: np.zeros((2, 3)).__setitem__(0, v),
    "choose": lambda v: np.arange(9)[v],
}  # fmt: skip
TENSORS: dict[str, Use] = {
    "item of it": lambda v: v[0], "mask": lambda v: v[v > 0], "as a mask": lambda v: X[v > 0],
    "as indices": lambda v: X[v.to(smelt.int64)], "at": lambda v: X.at[:].set(v),
    "detach": lambda v: v.detach(), "clone": lambda v: v.clone(), "tensor": smelt.tensor,
    "tensor of a list": lambda v: smelt.tensor([v, v]), "stack": lambda v: smelt.stack([v, v]),
    "cat": lambda v: smelt.cat([X, v]), "where": lambda v: smelt.where(X > 0, v, X),
    "full": lambda v: smelt.full((2,), v.sum()), "from_dlpack": smelt.from_dlpack,
    "cast": lambda v: v.to(smelt.float64), "reshape": lambda v: v.reshape(-1), "T": lambda v: v.T,
    "copied": lambda v: smelt.ones(2, 3).copy_(v), "einsum": lambda v: smelt.einsum("ij->ji", v),
    "sort": lambda v: v.sort(), "any": lambda v: v.any(), "softmax": lambda v: v.softmax(0),
    "copied into": lambda v: v.detach().copy_(X), "seed": lambda v: smelt.manual_seed(v.sum()),
    "multinomial": lambda v: smelt.multinomial(v, 1), "bernoulli": smelt.bernoulli,
    "loss": lambda v: F.cross_entropy(v, smelt.zeros(2, dtype=smelt.int64)),
}  # fmt: skip
TRAINING: dict[str, Use] = {
    "model": lambda v: nn.Linear(3, 3)(v), "compiled model": smelt.compile(nn.Linear(3, 3)),
    "recurrent": lambda v: nn.LSTM(3, 3)(v[None]), "weight": with_weight, "buffer": with_buffer,
    "parameter": nn.Parameter, "explain": lambda v: smelt.explain(nn.Linear(3, 3), v),
    "state": lambda v: nn.Linear(3, 2).load_state_dict({"weight": v, "bias": smelt.zeros(2)}),
    "summary": lambda v: smelt.summary(nn.Linear(3, 3), v), "save": saved,
    "dataset": lambda v: TensorDataset(v)[0],
    "loader": lambda v: list(DataLoader(TensorDataset(v), batch_size=1)),
    "optimizer": lambda v: with_gradient(v, lambda p: optim.Adam([p]).step()),
    "rate": lambda v: with_gradient(X, lambda p: optim.SGD([p], lr=v.sum()).step()),
    "clip": lambda v: with_gradient(v, lambda p: optim.clip_grad_norm_([p], 1.0)),
    "backward": lambda v: v.sum().backward(), "seeded": lambda v: v.backward(X),
    "loss of it": lambda v: (WEIGHT.sum() * v.sum()).backward(),
    "seed of another": lambda v: (X @ WEIGHT).backward(v),
}  # fmt: skip
FUNCTIONS: dict[str, Use] = {
    "grad": smelt.grad(lambda a: (a**2).sum()),
    "vmap": smelt.vmap(lambda a: a * 2),
    "grad beside": lambda v: smelt.grad(lambda a: (a * v).sum())(X),
    "vjp": lambda v: smelt.vjp(lambda a: a**2, v),
    "jvp": lambda v: smelt.jvp(F.relu, (v,), (X,)),
    "tangent": lambda v: smelt.jvp(F.relu, (X,), (v,)),
    "jacrev": smelt.jacrev(lambda a: a**2),
    "cotangent": lambda v: smelt.vjp(F.relu, X)[1](v),
    "hessian": smelt.hessian(lambda a: a.sum()),
    "vmap beside": lambda v: smelt.vmap(lambda a: a * v)(smelt.ones(4, 2, 3)),
    "scan": lambda v: smelt.scan(lambda h, row: (h + row, h), smelt.zeros(3), v),
    "scan beside": lambda v: smelt.scan(lambda h, _: (h + v, h), X, length=3),
    "cond": lambda v: smelt.cond(v.sum() > 0, lambda: X, lambda: X * 2),
    "while": lambda v: smelt.while_loop(lambda h: h.sum() < 10, lambda h: h + 1, v),
    "checkpoint": lambda v: smelt.checkpoint(lambda a: a * 2, v),
}
STEPS: dict[str, Use] = {
    "argument": smelt.compile(lambda a: a * 2),
    "over": lambda v: step_sum().over(v, batch_size=1),
    "repeat": lambda v: step_sum().repeat(3, v),
    "captured": compiled(lambda v: v * 2),
    "returned": lambda v: smelt.compile(lambda a: v)(X),
    "in a list": lambda v: smelt.compile(lambda a: a[0] + a[1])([X, v]),
    "by name": lambda v: smelt.compile(lambda a, b: a + b)(X, b=v),
    "by default": lambda v: smelt.compile(lambda a, b=v: a + b)(X),
    "given away": lambda v: smelt.compile(lambda a: a + 1, donate=0)(v),
    "changed": lambda v: smelt.compile(lambda a: v.copy_(a))(X) if v.tape_entry is None else v + 1,
    "looked at": lambda v: smelt.compile(lambda a: a if v.sum() > 0 else -a)(X),
    "scanned": compiled(lambda v: smelt.scan(lambda h, _: (h + v, h), X, length=3)[0]),
    "chosen": compiled(lambda v: smelt.cond(X.sum() > 0, lambda: v, lambda: X)),
    "chosen by": compiled(lambda v: smelt.cond(v.sum() > 0, lambda: X, lambda: X)),
    "turned": compiled(lambda v: smelt.while_loop(lambda h: h.sum() < 9, lambda h: h + v, X)),
    "step in step": compiled(lambda v: smelt.compile(lambda a: a + v)(X)),
    "mapped": compiled(lambda v: smelt.vmap(lambda a: a + v[0])(X)),
    "differentiated": compiled(smelt.grad(lambda a: (a**2).sum())),
}
USES = {
    f"{kind}: {name}": use
    for kind, uses in {
        "Python": PYTHON, "NumPy": NUMPY, "tensors": TENSORS, "training": TRAINING,
        "functions": FUNCTIONS, "steps": STEPS,
    }.items()
    for name, use in uses.items()
}  # fmt: skip


def step_sum() -> Any:
    return smelt.compile(lambda a: a.sum())


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("name", USES)
def test_a_value_that_left_its_trace_says_so(name: str, leak: Callable[..., None]) -> None:
    kept: list[Tensor] = []
    leak(kept)
    with pytest.raises(TraceError):
        USES[name](kept[0])
    assert context.engine is EAGER
    assert (X + 1).tolist() == [[2.0] * 3] * 2


@pytest.mark.parametrize("leak", LEAKS)
def test_what_needs_no_value_works(leak: Callable[..., None]) -> None:
    kept: list[Tensor] = []
    leak(kept)
    value = kept[0]
    assert repr(value) == "tensor(traced, shape=(2, 3), dtype=float32)"
    assert (value.shape, len(value), value.ndim) == ((2, 3), 2, 2)
    assert value != None  # noqa: E711  a comparison that people write
    assert hash(value) == hash(value)
    assert smelt.zeros_like(value).tolist() == [[0.0] * 3] * 2
