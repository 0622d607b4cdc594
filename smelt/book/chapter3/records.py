"""E3.14 to E3.17 and E3.28: records, methods, variants with and without data, a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import assert_never

from smelt import nn
from smelt.book.entry import Page, entry


@dataclass(frozen=True, slots=True)
class Layer:
    """What describes a layer of a network."""

    name: str
    neurons: int
    activation: str

    def describe(self) -> str:
        """Returns one line with the three fields."""
        return f"{self.name}: {self.neurons} neurons, {self.activation}"

    def parameters(self, inputs: int) -> int:
        """Returns how many weights and biases the layer has behind so many inputs."""
        return (inputs + 1) * self.neurons


@entry("E3.14", "A record")
def record(page: Page) -> None:
    """Named fields with types. A misspelled field is an error when it is set, not a new field."""
    layer = Layer("Hidden Layer 1", 128, "ReLU")
    page.print(f"{layer.name}, {layer.neurons} neurons, activation {layer.activation}")
    fields = [layer.name, layer.neurons, layer.activation]
    expected = ["Hidden Layer 1", 128, "ReLU"]
    page.claim("fields", expected, fields, fields == expected)
    same = layer == Layer("Hidden Layer 1", 128, "ReLU")
    page.claim("equal fields make equal records", True, same, same)


@entry("E3.15", "A record with methods")
def methods(page: Page) -> None:
    """`describe` as in the book, and the count of parameters that its heading promises."""
    layer = Layer("Output Layer", 10, "Softmax")
    page.print(layer.describe())
    expected = "Output Layer: 10 neurons, Softmax"
    page.claim("description", expected, layer.describe(), layer.describe() == expected)
    counted = layer.parameters(inputs=128)
    real = sum(parameter.numel() for parameter in nn.Linear(128, 10).parameters())
    page.claim(
        "parameters behind 128 inputs, as nn.Linear has them", real, counted, counted == real
    )


class Activation(Enum):
    """One of three activations; the value is its long name."""

    RELU = "Rectified Linear Unit"
    SIGMOID = "Sigmoid Activation"
    TANH = "Hyperbolic Tangent"


@entry("E3.16", "A variant: one of a few names")
def variant(page: Page) -> None:
    """An enum has a closed list of members; any other is an error.

    All three are printed, as in the text; the book's program prints Sigmoid's only.
    """
    names = [activation.value for activation in Activation]
    page.print(*names, sep="\n")
    expected = ["Rectified Linear Unit", "Sigmoid Activation", "Hyperbolic Tangent"]
    page.claim("long names", expected, names, names == expected)
    refused = ""
    try:
        Activation("Softsign")
    except ValueError as error:
        refused = str(error)
    page.print(f"error: {refused}")
    page.claim("a fourth is refused", True, bool(refused), refused)


@dataclass(frozen=True)
class Numeric:
    """A feature that is a number."""

    value: float


@dataclass(frozen=True)
class Categorical:
    """A feature that is a label, with its probability."""

    label: str
    probability: float


Feature = Numeric | Categorical


def shown(feature: Feature) -> str:
    """Returns a line for a feature of either kind."""
    match feature:
        case Numeric(value):
            return f"Numeric: {value}"
        case Categorical(label, probability):
            return f"Categorical: {label} with probability {probability}"
        case _:
            assert_never(feature)  # the type checker proves that no kind was forgotten


@entry("E3.17", "Variants that carry data")
def payloads(page: Page) -> None:
    """A feature is a number, or a label with a probability: a union of two records, taken apart by
    `match`. With `assert_never` a forgotten kind is found before the program runs.
    """
    lines = [shown(Numeric(42.0)), shown(Categorical("Category A", 0.8))]
    page.print(*lines, sep="\n")
    page.claim("number", "Numeric: 42.0", lines[0], lines[0] == "Numeric: 42.0")
    expected = "Categorical: Category A with probability 0.8"
    page.claim("label", expected, lines[1], lines[1] == expected)


def pipeline() -> list[Layer]:
    """Returns the layers of a network; the caller owns the list."""
    return [
        Layer("Input Layer", 64, "none"),
        Layer("Hidden Layer", 128, "ReLU"),
        Layer("Output Layer", 10, "Softmax"),
    ]


@entry("E3.28", "A pipeline of records")
def layers(page: Page) -> None:
    """A function returns a list of layers, and its caller goes through them: here to build them."""
    made = pipeline()
    for layer in made:
        page.print(f"{layer.name}: {layer.neurons} neurons")
    sizes = [layer.neurons for layer in made]
    page.claim("neurons", [64, 128, 10], sizes, sizes == [64, 128, 10])
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = made[1].parameters(64) + made[2].parameters(128)
    page.claim("parameters of the network built of them", expected, count, count == expected)
