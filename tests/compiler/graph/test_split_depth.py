"""Deep products with few results: made in parts that threads share, chosen by their shape alone."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.compiler.graph.split_depth import split_convolution, split_product
from smelt.ir.graph import ARGUMENT, Node
from smelt.ops import movement
from smelt.ops.contraction import matmul
from smelt.ops.convolution import convolution
from smelt.tensor import as_tensor
from tests.compiler.engines import Case, agree

RANDOM = np.random.default_rng(5)


def argument(*shape: int, dtype=smelt.float32) -> Node:
    return Node(ARGUMENT, (), {}, shape, dtype)


def product(rows: int, depth: int, columns: int, dtype=smelt.float32) -> Node:
    operands = argument(rows, depth, dtype=dtype), argument(depth, columns, dtype=dtype)
    return Node(matmul, operands, {}, (rows, columns), dtype)


def kernel_gradient(samples: int, channels: int, outputs: int, groups: int = 1) -> Node:
    operands = argument(samples, channels * groups, 28, 28), argument(outputs, channels, 26, 26)
    attributes = {"stride": (1, 1), "dilation": (1, 1), "groups": groups}
    return Node(convolution, operands, attributes, (samples, outputs, 3, 3), smelt.float32)


def drawn(*shape: int) -> smelt.Tensor:
    return as_tensor(RANDOM.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(
    ("node", "parts"),
    [
        (product(16, 65536, 16), 4),
        (product(32, 8192, 64), 2),
        (product(16, 3 * 5 * 1024, 16), 4),
        (product(16, 11 * 13 * 97, 16), None),  # nothing divides it
        (product(64, 4096, 64), None),  # four tiles are enough for the threads
        (product(16, 1024, 16), None),  # small
        (product(16, 65536, 16, smelt.float16), None),  # parts would be rounded
    ],
)
def test_the_shape_says_into_how_many_parts(node: Node, parts: int | None) -> None:
    made = split_product(node)
    assert (made is None) == (parts is None)
    if made is not None:
        assert made.inputs[0].shape == (parts, *node.shape)
        assert made.shape == node.shape


def gradient(rows: int, depth: int, columns: int) -> Node:
    """Returns the product of a transposed matrix and another one: the gradient of a weight."""
    axes = {"axes": (1, 0)}
    left = Node(movement.permute, (argument(depth, rows),), axes, (rows, depth), smelt.float32)
    operands = left, argument(depth, columns)
    return Node(matmul, operands, {}, (rows, columns), smelt.float32)


@pytest.mark.parametrize(
    ("node", "parts"),
    [
        (gradient(256, 8192, 64), 4),  # lines of which a tile needs a part are read to their ends
        (product(256, 8192, 64), None),  # whose rows lie along
        (gradient(256, 1024, 64), None),  # the sums of the parts would take as long
        (gradient(1024, 8192, 256), None),
    ],
)
def test_gradients_over_many_samples_are_read_from_end_to_end(
    node: Node, parts: int | None
) -> None:
    made = split_product(node)
    assert (made and made.inputs[0].shape[0]) == parts


def test_channels_become_groups() -> None:
    made = split_convolution(kernel_gradient(1, 64, 8))
    assert made is not None
    (parts,) = made.inputs
    assert parts.shape == (1, 4, 8, 3, 3)
    assert parts.inputs[0].attributes["groups"] == 4
    assert split_convolution(kernel_gradient(64, 64, 8)) is None  # samples enough
    assert split_convolution(kernel_gradient(1, 64, 8, groups=2)) is None


def test_what_lies_across_stays_so() -> None:
    x = argument(65536, 16)
    across = Node(movement.permute, (x,), {"axes": (1, 0)}, (16, 65536), smelt.float32)
    made = split_product(Node(matmul, (across, x), {}, (16, 16), smelt.float32))
    assert made is not None
    left, right = made.inputs[0].inputs
    assert left.attributes["axes"] == (0, 2, 1)
    assert right.op is movement.permute or right.op is movement.reshape
    assert left.inputs[0].inputs == (x,)


@pytest.mark.parametrize("layout", ["AB", "ABT", "ATB", "ATBT"])
def test_products_in_parts_are_right(layout: str) -> None:
    left, right = layout.startswith("AT"), layout.endswith("BT")
    given = [drawn(12000, 16) if left else drawn(16, 12000)]
    given.append(drawn(24, 12000) if right else drawn(12000, 24))

    def run(states, arguments):
        x, y = arguments
        return [(x.T if left else x) @ (y.T if right else y)]

    case = Case(run, [], given)
    agree(case, interpret=False)
    assert any(node.op.name == "sum" for node in case.stages.simplified.nodes())


def test_the_gradient_of_a_first_layers_kernel_is_right_and_parallel() -> None:
    x, w = drawn(64, 1, 28, 28), drawn(8, 1, 3, 3)
    y = F.conv2d(x, w.requires_grad_())
    (expected,) = smelt.autograd.grad((y * y).sum(), [w])

    @smelt.compile
    def gradient(x: smelt.Tensor) -> smelt.Tensor:
        y = F.conv2d(x, w)
        return smelt.autograd.grad((y * y).sum(), [w])[0]

    np.testing.assert_allclose(gradient(x).numpy(), expected.numpy(), rtol=2e-5, atol=1e-3)
    assert "groups=4" in gradient.explain("graph")
    kernels = gradient.explain("scheduled").split("\n\n")
    deep = [text for text in kernels if text.startswith("def convolution") and "26, 26" in text]
    assert deep
    assert all("# parallel" in text for text in deep)
