"""The network of `MLPClassifier` and `MLPRegressor`, its loss, and its compiled step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import smelt.nn.functional as F
from smelt.compiler import compile
from smelt.dtypes import DType, as_dtype
from smelt.nn import ParameterList
from smelt.nn.module import Module
from smelt.optim import SGD, Adam
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.sklearn.pool import Pool
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import exp, sqrt, where
from smelt.tracing.engine import no_grad

__all__ = ["POOL", "CompiledPerceptron", "Design"]

Arrays = Sequence[np.ndarray]
CHUNK = 4096  # samples that are predicted in one native call

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "logistic": F.sigmoid,
    "tanh": F.tanh,
    "relu": F.relu,
}
OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "logistic": F.sigmoid,
    "softmax": lambda x: F.softmax(x, dim=-1),
    "exp": exp,
}
POOL = Pool()


@dataclass(frozen=True)
class Design:
    """All of a network and its training that compiled code depends on.

    Attributes:
        units: of the layers, from the inputs to the outputs.
        activation: of the hidden layers, a key of ACTIVATIONS.
        output: what makes predictions of the last layer, a key of OUTPUTS.
        solver: "adam" or "sgd".
        nesterov: whether "sgd" looks one step ahead.
        has_momentum: whether "sgd" has one.
        dtype: of the weights and data, "float32" or "float64".
    """

    units: tuple[int, ...]
    activation: str
    output: str
    solver: str
    nesterov: bool
    has_momentum: bool
    dtype: str


class Perceptron(Module):
    """Layers x W + b with an activation between them; W is (inputs, outputs) as `coefs_` are.

    Args:
        design: the layers.
    """

    alpha: Tensor

    def __init__(self, design: Design) -> None:
        self.design = design
        dtype: DType = as_dtype(design.dtype)
        pairs = list(zip(design.units, design.units[1:], strict=False))
        self.coefs: ParameterList = ParameterList(np.zeros(pair, dtype.storage) for pair in pairs)
        self.intercepts: ParameterList = ParameterList(
            np.zeros(pair[1], dtype.storage) for pair in pairs
        )
        self.register_buffer("alpha", as_tensor(0.0, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, outputs), before the activation of the outputs.

        Args:
            x: (B, inputs).
        """
        layers = list(zip(self.coefs, self.intercepts, strict=True))
        for coef, intercept in layers[:-1]:
            x = ACTIVATIONS[self.design.activation](x @ coef + intercept)
        coef, intercept = layers[-1]
        return x @ coef + intercept

    def losses(self, x: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what is made small, and what scikit-learn calls the loss.

            sum_i w_i loss_i / sum_i w_i + alpha / 2 * sum of squares of coefs / sum_i w_i

        They differ where there are several regression targets: their gradients are summed, and the
        loss is their mean.

        Args:
            x: (B, inputs).
            target: class numbers (B,) for "softmax", else (B, outputs).
            weight: (B,), 0 for rows that do not count.
        """
        each = self._each(self(x), target)
        total = weight.sum()
        # rows that all count nothing change nothing
        divisor = where(total > 0, total, 1.0)
        squares = sum((coef * coef).sum() for coef in self.coefs)
        penalty = 0.5 * self.alpha * squares
        value = ((each * weight).sum() + penalty) / divisor
        targets = self.design.units[-1] if self.design.output == "identity" else 1
        shown = ((each * weight).sum() / targets + penalty) / divisor
        return value, shown.detach()

    def _each(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of each sample, (B,)."""
        if self.design.output == "softmax":
            return F.cross_entropy(output, target, reduction="none")
        if self.design.output == "logistic":
            return F.binary_cross_entropy_with_logits(output, target, reduction="none").sum(-1)
        if self.design.output == "identity":
            return 0.5 * F.mse_loss(output, target, reduction="none").sum(-1)
        # half the Poisson deviance; y log y is 0 where y is 0
        known = target * where(target > 0, target, 1.0).log()
        return (known - target * output - target + exp(output)).sum(-1)


class EpsilonHatAdam(Adam):
    """Adam in the second form of Kingma and Ba (2015), which is scikit-learn's: epsilon is added
    before the corrections for the bias of the moments.

        x <- x - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)
    """

    is_elementwise = True

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        beta1, beta2, step_size, bias_correction2_sqrt, _ = scalars
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.copy_(beta1 * m + (1 - beta1) * g)
        v.copy_(beta2 * v + (1 - beta2) * (g * g))
        x.copy_(x - step_size * bias_correction2_sqrt * m / (sqrt(v) + group["eps"]))


class CompiledPerceptron:
    """A network with its optimizer and compiled functions; numbers are written into it.

    Args:
        design: the network.

    Attributes:
        step: (x, target, weight) -> the loss, and changes the weights.
    """

    network: Perceptron
    optimizer: Optimizer

    def __init__(self, design: Design) -> None:
        self.network = network = Perceptron(design)
        self.optimizer = optimizer = _optimizer(design, network)
        output = OUTPUTS[design.output]

        @compile
        def step(x: Tensor, target: Tensor, weight: Tensor) -> Tensor:
            value, shown = network.losses(x, target, weight)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            return shown

        def predict(x: Tensor) -> Tensor:
            return output(network(x))

        self.step: Any = step
        self._predict = compile(predict, dynamic={"x": {0: "samples"}})

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Returns predictions (n, outputs) of samples (n, inputs)."""
        with no_grad():
            chunks = [self._predict(x[i : i + CHUNK]).numpy() for i in range(0, len(x), CHUNK)]
        return np.concatenate(chunks)

    # --- numbers in and out -----------------------------------------------------------------------

    def write_weights(self, coefs: Arrays, intercepts: Arrays) -> None:
        """Gives the network weights, in the order of its layers."""
        with no_grad():
            for own, given in zip(self._weights(), [*coefs, *intercepts], strict=True):
                own.copy_(given)

    def read_weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns copies of the weights: coefs and intercepts, in the order of the layers."""
        arrays = [own.numpy().copy() for own in self._weights()]
        return arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]

    def _weights(self) -> list[Tensor]:
        return [*self.network.coefs, *self.network.intercepts]

    def write_moments(self, moments: Mapping[str, np.ndarray] | None) -> None:
        """Gives the optimizer what `read_moments` returned; None for a new one."""
        with no_grad():
            for name, own in self._moments().items():
                own.copy_(0 if moments is None else moments[name])

    def read_moments(self) -> dict[str, np.ndarray]:
        """Returns copies of what the optimizer remembers, by name."""
        return {name: own.numpy().copy() for name, own in self._moments().items()}

    def _moments(self) -> dict[str, Tensor]:
        state = self.optimizer.state_dict()
        return {
            name: tensor
            for name, tensor in state.items()
            if name.startswith("state.") or name.endswith(".step")
        }

    def write_settings(self, alpha: float, lr: float, **settings: float) -> None:
        """Sets the penalty, the learning rate, and numbers of the solver: `momentum`, or `beta_1`,
        `beta_2` and `epsilon`.
        """
        (group,) = self.optimizer.param_groups
        named: dict[str, Tensor] = {"lr": group["lr"]}
        if "betas" in group:
            named |= {"beta_1": group["betas"][0], "beta_2": group["betas"][1]}
            named["epsilon"] = group["eps"]
        else:
            named["momentum"] = group["momentum"]
        with no_grad():
            self.network.alpha.copy_(alpha)
            for name, value in {"lr": lr, **settings}.items():
                if isinstance(named[name], Tensor):  # without momentum there is no such number
                    named[name].copy_(value)

    def change_rate(self, before: float, rate: float) -> None:
        """Sets another learning rate of "sgd"; what has gathered momentum moves on as fast as
        before, as scikit-learn's velocities do.
        """
        self.optimizer.param_groups[0]["lr"] = rate
        with no_grad():
            for name, own in self._moments().items():
                if name.endswith("momentum_buffer"):
                    own.copy_(own * (before / rate))


def _optimizer(design: Design, network: Perceptron) -> Optimizer:
    """Returns the optimizer of a design, whose numbers are tensors."""
    if design.solver == "adam":
        adam = EpsilonHatAdam(network.parameters())
        (group,) = adam.param_groups
        for index in (0, 1):
            group.make_traced("betas", index)
        group.make_traced("eps")
        return adam
    momentum = 0.9 if design.has_momentum else 0.0  # a placeholder: the number is written later
    sgd = SGD(network.parameters(), momentum=momentum, nesterov=design.nesterov)
    if design.has_momentum:
        sgd.param_groups[0].make_traced("momentum")
    return sgd
