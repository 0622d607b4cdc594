"""Random whole training steps: a model, a loss, an optimizer, and how they are put together.

One seed is one program: `RandomStep(seed, float64)` is built anew for each engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import smelt
from smelt import nn
from smelt.dtypes import DType, float64
from tests.compiler.random_draws import Draws
from tests.compiler.random_models import RandomModel
from tests.compiler.random_training import (
    a_clipping,
    a_loss,
    a_schedule,
    an_optimizer,
    target_array,
)

STEPS = 3
WAYS = (*["call"] * 6, "repeat", "over", "over, shuffled")
Arrays = dict[str, np.ndarray]


class RandomStep:
    """A training step.

    Args:
        seed: of all choices and of all numbers.
        dtype: of parameters and data; the choices do not depend on it.
        nudge: by what share parameters, data and what each layer returns are moved, to see how much
            that matters: equal sums, rounded in another order, may tie or not.
    """

    def __init__(self, seed: int, dtype: DType = float64, nudge: float = 0.0) -> None:
        self.seed, self.dtype, self.nudge = seed, dtype, nudge
        self.noise = np.random.default_rng(seed + 1)
        self.draws = draws = Draws(seed)
        smelt.manual_seed(seed)
        self.drawn = RandomModel(draws)
        self.model = self.drawn.layers
        self.loss = a_loss(draws, self.drawn.output)
        self.drawn.freeze_some()
        self._convert()
        learned = [one for one in self.model.parameters() if one.requires_grad]
        self.optimizer = an_optimizer(draws, learned)
        self._choose()
        smelt.manual_seed(seed)

    def _convert(self) -> None:
        """Brings parameters to the step's dtype, and nudges them."""
        self.model.to(self.dtype)
        if self.nudge:
            with smelt.no_grad():
                for parameter in self.model.parameters():
                    parameter.copy_(self._nudged(parameter.numpy()))
            for layer in self.model:
                layer.register_forward_hook(self._nudge_output)

    def _nudge_output(self, layer: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, smelt.Tensor) or not output.dtype.is_float:
            return output
        noise = self.nudge * self.noise.standard_normal(output.shape)
        return output * (1 + noise).astype(output.dtype.storage)

    def _nudged(self, array: np.ndarray) -> np.ndarray:
        noise = self.nudge * self.noise.standard_normal(array.shape)
        return np.asarray(array * (1 + noise), self.dtype.storage)

    def _choose(self) -> None:
        """Draws how the step is put together, and its data."""
        draws = self.draws
        self.schedule = a_schedule(draws, self.optimizer) if draws.chance(0.3) else None
        self.clipping = a_clipping(draws) if draws.chance(0.3) else ("none", None)
        self.twice = draws.chance(0.12)
        kinds = ["parameters"] if self.drawn.words else ["parameters", "input", "direction"]
        self.penalty = draws.of(*kinds) if draws.chance(0.14) else ""
        self.keeps_gradients = draws.chance(0.08) and not self.penalty
        self.threads = draws.of(1, 1, 2)
        self.way = draws.of(*WAYS)
        self.shows_output = draws.chance(0.25)
        if draws.chance(0.1):
            self.model.eval()
        self.batches = [self._batch() for _ in range(1 if self.way == "repeat" else STEPS)]

    def _batch(self) -> list[smelt.Tensor]:
        """Draws input and targets, two of each for a step of two micro-batches."""
        kinds = [("words" if self.drawn.words else "normal", self.drawn.shape), *self.loss.targets]
        kinds *= 2 if self.twice else 1
        return [self._numbers(kind, shape) for kind, shape in kinds]

    def _numbers(self, kind: str, shape: tuple[int, ...]) -> smelt.Tensor:
        if kind == "words":
            return smelt.tensor(self.draws.random.integers(0, self.drawn.words, shape))
        array = target_array(self.draws, kind, shape, self.drawn.output.shape[1])
        if kind == "normal":
            array = self._nudged(array)
        return smelt.tensor(array.astype(self.dtype.storage) if array.dtype.kind == "f" else array)

    # --- the step ---------------------------------------------------------------------------------

    def run(self, *parts: smelt.Tensor) -> Any:
        """Makes one step; this is what is compiled."""
        if not self.keeps_gradients:
            self.optimizer.zero_grad()
        half = len(parts) // 2 if self.twice else len(parts)
        loss, output = self._backward(*parts[:half])
        if self.twice:
            loss = loss + self._backward(*parts[half:])[0]
        if self.clipping[1] is not None:
            self.clipping[1](self.model.parameters())
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step(*([loss] if "Plateau" in type(self.schedule).__name__ else []))
        return (loss, output) if self.shows_output else loss

    def _backward(self, x: smelt.Tensor, *targets: smelt.Tensor) -> tuple[smelt.Tensor, ...]:
        output = self.model(x)
        loss = self.loss.function(output, *targets)
        if self.penalty == "input":
            slope = smelt.grad(lambda x: (self.model(x) ** 2).mean())(x)
            loss = loss + 0.1 * (slope**2).sum()
        if self.penalty == "direction":
            _, change = smelt.jvp(self.model, (x,), (smelt.cos(x),))
            loss = loss + 0.1 * (change**2).mean()
        loss.backward(create_graph=self.penalty == "parameters")
        if self.penalty == "parameters":
            self._add_gradient_of_gradient()
        return loss, output.detach()

    def _add_gradient_of_gradient(self) -> None:
        """Adds the gradient of the squared length of the gradient."""
        moving = [one for one in self.model.parameters() if one.grad is not None]
        size = sum((one.grad**2).sum() for one in moving)
        if isinstance(size, smelt.Tensor) and size.requires_grad:
            (0.1 * size).backward()
        for one in moving:
            one.grad = one.grad.detach()

    # --- what comes out ---------------------------------------------------------------------------

    def results(self, compiled: bool) -> Arrays:
        """Makes all steps, natively or eagerly, and returns everything that they left."""
        with smelt.settings(compile=compiled, verify=True, threads=self.threads):
            step = smelt.compile(self.run)
            made = self._all_steps(step)
        results: Arrays = {}
        for number, one in enumerate(made):
            pair = one if isinstance(one, tuple) else (one,)
            names = f"loss {number}", f"output {number}"
            results |= dict(zip(names, pair, strict=False))
        return results | self._state()

    def _all_steps(self, step: Any) -> list[Any]:
        """Makes all steps; returns copies of the results of each call."""
        if self.way == "repeat":
            return [_copied(step.repeat(STEPS, *self.batches[0]))]
        if self.way == "call":
            return [_copied(step(*batch)) for batch in self.batches]
        arrays = [smelt.cat(parts) for parts in zip(*self.batches, strict=True)]
        shuffle = self.way == "over, shuffled"
        return [_copied(step.over(*arrays, batch_size=self.drawn.shape[0], shuffle=shuffle))]

    def _state(self) -> Arrays:
        sources = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        state = {
            f"{name} {key}": np.array(value.numpy())
            for name, source in sources.items()
            if source is not None
            for key, value in source.state_dict().items()
            if isinstance(value, smelt.Tensor)
        }
        if self.keeps_gradients:
            for name, one in self.model.named_parameters():
                if one.grad is not None:
                    state[f"gradient {name}"] = np.array(one.grad.numpy())
        return state | {"generator": np.array(smelt.default_generator().state.numpy())}

    def __repr__(self) -> str:
        """Describes the whole program."""
        names = ("twice", "penalty", "keeps_gradients", "way", "shows_output", "threads")
        groups = [
            {name: value for name, value in group.items() if name != "params"}
            for group in self.optimizer.param_groups
        ]
        frozen = [name for name, one in self.model.named_parameters() if not one.requires_grad]
        lines = (
            f"seed {self.seed}: {self.dtype.name} input {self.drawn.shape}",
            f"{self.model!r}, training={self.model.training}, frozen: {frozen}",
            f"loss: {self.loss.text}",
            f"optimizer: {type(self.optimizer).__name__} {groups}",
            f"schedule: {type(self.schedule).__name__}, clipping: {self.clipping[0]}",
            ", ".join(f"{name}={getattr(self, name)}" for name in names),
        )
        return "\n".join(lines)


def _copied(made: Any) -> Any:
    return tuple(map(_copied, made)) if isinstance(made, tuple) else np.array(made.numpy())
