"""What a metric is: the contribution of a batch, how batches are combined, and the result."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt import tree
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tracing.engine import no_grad

__all__ = ["Figure", "Metric", "Total"]

#: What a metric comes to: one number, a number a class, or numbers by name.
Figure = float | np.ndarray | dict[str, float]


def _snake_case(name: str) -> str:
    """Returns `TopKAccuracy` as top_k_accuracy, `AUROC` as auroc, `F1Score` as f1_score."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Metric(ABC):
    """A metric that is exact however the data are divided into batches; to be subclassed.

    A subclass defines in `measure` what a batch contributes, and in `compute` the result:

        class MeanError(Metric):
            def measure(self, output, target):
                return {"sum": (output - target).sum(), "count": smelt.ones_like(target).sum()}

            def compute(self, total):
                return total["sum"] / total["count"]

    A metric keeps no state between calls. Called as a function it returns the result for one batch.

    Attributes:
        name: the name of its result; by default the class's name in snake case.
        higher_is_better: whether a larger value is better; None if neither is.
        rows: how batches are combined. False: their values are summed, in float64 and int64. True:
            they are concatenated along the first axis, for metrics that need every sample.

    Example:
        >>> import smelt
        >>> from smelt import train
        >>> class Largest(train.Metric):
        ...     rows = True
        ...     def measure(self, output, target):
        ...         return (output - target).abs()
        ...     def compute(self, errors):
        ...         return errors.max()
        >>> Largest()(smelt.tensor([1.0, 2.0]), smelt.tensor([1.5, 5.0]))
        3.0
    """

    name: str
    higher_is_better: bool | None = None
    rows: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = _snake_case(cls.__name__)

    @abstractmethod
    def measure(self, output: Any, target: Any) -> Any:
        """Returns what a batch contributes, as a tree of Tensors; part of the compiled evaluation.

        Args:
            output: the model's output for the batch, such as logits (n, classes).
            target: the last part of the batch, such as labels (n,).
        """

    @abstractmethod
    def compute(self, total: Any) -> Any:
        """Returns the result: a number, an array, or a dict of numbers.

        Args:
            total: the combined contributions of all batches: the tree that `measure` returns, of
                NumPy arrays. A division by 0 gives nan without a warning.
        """

    def merge(self, parts: Sequence[Any]) -> Any:
        """Combines the contributions of several batches, as `rows` says; override it if neither a
        sum nor a concatenation is right.

        Args:
            parts: trees of NumPy arrays of the same structure, in the order of the batches; each is
                the contribution of a batch or, unless `rows`, the result of an earlier call.
        """
        return tree.map(self._merged, *parts)

    def _merged(self, *leaves: np.ndarray) -> np.ndarray:
        shapes = {leaf.shape[1:] if self.rows else leaf.shape for leaf in leaves}
        if len(shapes) > 1:
            given = " and ".join(map(str, dict.fromkeys(leaf.shape for leaf in leaves)))
            how = (
                "rows need one shape behind the first axis"
                if self.rows
                else (
                    "arrays that are added up must have the same shape; set rows = True to "
                    "concatenate them"
                )
            )
            raise ShapeError(f"{self.name}: batches measured arrays of shapes {given}: {how}")
        return np.concatenate(leaves) if self.rows else np.sum(leaves, axis=0)

    def of(self, select: Callable[[Any, Any], tuple[Any, Any]]) -> Metric:
        """Returns the same metric for something else, such as one of several outputs.

        Args:
            select: (the model's output, the target) -> the output and the target that are measured.

        Example:
            >>> from smelt import train
            >>> metric = train.Accuracy().of(lambda output, target: (output["class"], target[0]))
        """
        return _Selected(self, select)

    def __call__(self, output: Any, target: Any) -> Figure:
        """Returns the figure of these outputs and targets alone, arrays or Tensors.

        Raises:
            ArgumentError: there is no sample.
        """
        output, target = _as_tensors(output), _as_tensors(target)
        if any(leaf.ndim and not leaf.shape[0] for leaf in tree.flatten((output, target))[0]):
            raise ArgumentError(f"{self.name}: there are no samples to measure")
        total = Total(self)
        with no_grad():
            total.add(self.measure(output, target))
        return total.figure()

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (bool, int, float, np.number, np.bool_))


def _as_tensors(given: Any) -> Any:
    """Returns a tree of Tensors; lists of numbers are one Tensor."""
    if isinstance(given, list) and all(map(_is_number, tree.flatten(given)[0])):
        return as_tensor(given)
    return tree.map(as_tensor, given)


class _Selected(Metric):
    """A metric of what a function selects of the output and the target."""

    def __init__(self, metric: Metric, select: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        self.metric, self.select = metric, select
        self.name, self.higher_is_better = metric.name, metric.higher_is_better
        self.rows = metric.rows

    def measure(self, output: Any, target: Any) -> Any:
        return self.metric.measure(*self.select(output, target))

    def compute(self, total: Any) -> Any:
        return self.metric.compute(total)

    def merge(self, parts: Sequence[Any]) -> Any:
        return self.metric.merge(parts)


class Total:
    """The contributions of the batches so far to a metric."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._parts: list[Any] = []
        self._structure: tree.Structure | None = None

    def add(self, measured: Any) -> None:
        """Adds what `measure` returned for a batch.

        Raises:
            ArgumentTypeError: it is not a tree of Tensors.
            ShapeError: it does not fit the contributions of earlier batches.
        """
        part = tree.map(self._array, measured)
        structure = tree.flatten(part)[1]
        if self._structure is None:
            self._structure = structure
        elif structure != self._structure:
            change = tree.difference(self._structure, structure)
            raise ShapeError(f"{self.metric.name}: what a batch measured has changed: {change}")
        self._parts.append(part)
        if not self.metric.rows and len(self._parts) > 1:
            self._parts = [self.metric.merge(self._parts)]

    def _array(self, leaf: Any) -> np.ndarray:
        """Returns a copy in the widest dtype of its kind: floats, whole numbers, or rows of
        bools.
        """
        if not isinstance(leaf, Tensor):
            raise ArgumentTypeError(
                f"{self.metric.name}: measure must return Tensors, or a tuple, list or dict of "
                f"them, and returned a {type(leaf).__name__}"
            )
        if self.metric.rows and not leaf.ndim:
            raise ShapeError(
                f"{self.metric.name}: rows need a first axis, and measure returned a Tensor of "
                "shape (); leave rows = False for what is added up"
            )
        if self.metric.rows:
            return np.array(leaf.double() if leaf.dtype.is_float else leaf)
        return np.array(leaf, np.float64 if leaf.dtype.is_float else np.int64)

    def figure(self) -> Figure:
        """Returns the metric's result.

        Raises:
            ArgumentError: no batch was added.
            ArgumentTypeError: `compute` did not return a number, array or dict of numbers.
        """
        if not self._parts:
            raise ArgumentError(f"{self.metric.name}: there are no samples to measure")
        total = self.metric.merge(self._parts) if self.metric.rows else self._parts[0]
        with np.errstate(all="ignore"):
            return self._checked(self.metric.compute(total))

    def _checked(self, given: Any) -> Figure:
        if isinstance(given, dict):
            return {str(name): self._number(value) for name, value in given.items()}
        if getattr(given, "ndim", 0):
            return np.asarray(given)
        return self._number(given)

    def _number(self, given: Any) -> float:
        try:
            return float(given)
        except (TypeError, ValueError):
            raise ArgumentTypeError(
                f"{self.metric.name}: compute must return a number, an array, or a dict of "
                f"numbers, and returned a {type(given).__name__}"
            ) from None
