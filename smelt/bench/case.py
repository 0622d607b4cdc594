"""A case: one computation, and the sides that are timed on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from smelt.bench.layers import Layer, layers, smelt_layer, torch_layer
from smelt.bench.products import Product, numpy_product, smelt_product, torch_product
from smelt.bench.sides import jax_side, limit_side, smelt_side, torch_side
from smelt.bench.workload import Workload
from smelt.bench.workloads import WORKLOADS
from smelt.bench.workloads.sweeps import SWEEPS

__all__ = ["GROUPS", "LIMIT", "Case"]

LIMIT = "smelt limit"  # the side that computes nothing but multiply-adds
SIZES = (4, 8, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 192, 256, 257, 384, 509, 512, 1024, 2048)
DOUBLE_SIZES = (32, 64, 128, 256, 512, 1024)  # of products in float64
LAYOUTS = {"": (False, False), "-bt": (False, True), "-at": (True, False), "-at-bt": (True, True)}
TRANSPOSED = {
    (False, False): "",
    (False, True): ", B transposed",
    (True, False): ", A transposed",
    (True, True): ", both transposed",
}


@dataclass(frozen=True)
class Case:
    """One computation.

    Attributes:
        title: what it is.
        operations: floating-point operations of its products.
        sides: from the name of a side to what makes its generator (`harness.py`).
        is_product: whether it is a single product, so that its rate says more than its time.
    """

    title: str
    operations: float
    sides: Mapping[str, Callable[[], Iterator[dict[str, Any]]]]
    is_product: bool = False


def _training(workload: Workload) -> Case:
    sides = {
        "smelt": partial(smelt_side, workload),
        "torch": partial(torch_side, workload),
        "torch.compile": partial(torch_side, workload, compiled=True),
        "jax": partial(jax_side, workload),
        LIMIT: partial(limit_side, workload.products),
    }
    return Case(workload.title, workload.products, sides)


def _product(title: str, product: Product) -> Case:
    sides = {
        "smelt": partial(smelt_product, product),
        "numpy": partial(numpy_product, product),
        "torch": partial(torch_product, product),
        # half as many numbers of 64 bits fit into a vector
        LIMIT: partial(limit_side, product.operations * (1 + (product.dtype == "float64"))),
    }
    return Case(title, product.operations, sides, is_product=True)


def _layer(layer: Layer) -> Case:
    sides = {"smelt": partial(smelt_layer, layer), "torch": partial(torch_layer, layer)}
    if layer.operations:
        sides[LIMIT] = partial(limit_side, layer.operations)
    return Case(layer.title, layer.operations, sides)


def _products() -> dict[str, Case]:
    cases = {}
    for size in SIZES:
        for suffix, transposed in LAYOUTS.items():
            words = [word for word, is_turned in zip("AB", transposed, strict=True) if is_turned]
            title = f"{size} x {size} x {size}" + (
                f", {' and '.join(words)} transposed" * bool(words)
            )
            cases[f"matmul-{size}{suffix}"] = _product(title, Product(size, size, size, transposed))
    for size in DOUBLE_SIZES:
        product = Product(size, size, size, dtype="float64")
        cases[f"matmul-{size}-f64"] = _product(f"{size} x {size} x {size}, float64", product)
    return cases


GROUPS: Mapping[str, Mapping[str, Case]] = {
    "book": {name: _training(workload) for name, workload in WORKLOADS.items()},
    "matmul": _products(),
    "layers": {name: _layer(layer) for name, layer in layers().items()},
    **{
        group: {name: _training(workload) for name, workload in workloads.items()}
        for group, workloads in SWEEPS.items()
    },
}
