"""E2.a to E2.d: the first program with each of the book's libraries, all of them with Smelt."""

from __future__ import annotations

import smelt
from smelt import data
from smelt.book.entry import Page, entry


@entry("E2.a", "A one-dimensional array")
def array(page: Page) -> None:
    """Makes the array [1, 2, 3] and looks at it (the book: ndarray).

    Strides count elements: how far apart neighbors along an axis lie in memory.
    """
    numbers = smelt.tensor([1, 2, 3])
    array = numbers.numpy()  # the same memory, seen by NumPy
    strides = [stride // array.itemsize for stride in array.strides]
    page.print(numbers)
    page.print(f"shape={list(numbers.shape)}, strides={strides}, {numbers.dtype}")
    page.claim("values", [1, 2, 3], numbers, numbers.tolist() == [1, 2, 3])
    page.claim("shape and strides", "[3] [1]", f"{list(numbers.shape)} {strides}", strides == [1])


@entry("E2.b", "A labeled data set")
def labeled_data(page: Page) -> None:
    """Keeps records and their targets together (the book: linfa's Dataset).

    A data set is whatever has a length and gives a sample for an index; `TensorDataset` cuts
    samples out of tensors with the same number of rows, and refuses others.
    """
    records = smelt.tensor([[1.0, 2.0], [3.0, 4.0]])  # (samples, features)
    targets = smelt.tensor([0, 1])  # (samples,)
    samples = data.TensorDataset(records, targets)
    for number in range(len(samples)):
        x, y = samples[number]
        page.print(f"sample {number}: {x.tolist()} -> {y.item()}")
    shapes = [list(tensor.shape) for tensor in (records, targets)]
    page.claim("shapes of records and targets", [[2, 2], [2]], shapes, shapes == [[2, 2], [2]])
    refused = ""
    try:
        data.TensorDataset(records, smelt.tensor([0, 1, 1]))
    except smelt.errors.ShapeError as error:
        refused = str(error)
    page.print(f"refused: {refused}")
    page.claim("three targets for two records are refused", True, bool(refused), refused)


@entry("E2.c", "A tensor from a slice")
def tensor(page: Page) -> None:
    """Makes a tensor from part of a list (the book: tch, the bindings of PyTorch).

    A tensor is a value: it has memory of its own, and later changes of the list do not reach it.
    """
    numbers = [0, 1, 2, 3, 4]
    tensor = smelt.tensor(numbers[1:4])
    numbers[1] = 100
    page.print(tensor)
    page.claim("values", [1, 2, 3], tensor, tensor.tolist() == [1, 2, 3])


@entry("E2.d", "The gradient of x^2 at 3, with its error branch")
def gradient(page: Page) -> None:
    """Differentiates y = x^2 by reverse mode (the book: autograd, whose result may be an error).

        dy/dx = 2 x = 6 at x = 3

    The book matches on the result. Here the error is an exception, and asking for the derivative by
    a whole number is one.
    """
    slope_of_square = smelt.grad(lambda x: x * x)
    slope = slope_of_square(smelt.tensor(3.0))
    page.print(f"gradient {slope.item()}, shape {list(slope.shape)}")
    page.claim("gradient at 3.0", 6.0, slope, slope.item() == 6.0 and slope.shape == ())
    refused = ""
    try:
        slope_of_square(smelt.tensor(3))
    except smelt.errors.DTypeError as error:
        refused = type(error).__name__
        page.print(f"{refused}: {error}")
    page.claim("a whole number has no gradient", "DTypeError", refused, refused)
