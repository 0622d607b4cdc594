"""Recurrences over whole sequences by NumPy: what a layer computes eagerly.

A loop over time of single operations costs mostly what their calls cost. Here an iteration is a few
calls into arrays that hold all of time, and what does not depend on the loop is computed for all of
it at once: the derivatives of the gates, the gradients of the weights. The meaning is `_step` of
the layer (recurrent.py), in a `scan`.

Inside, the batch is the last axis, so that each gate is one piece of memory: a product with the
state is W h instead of h W^T.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from smelt.autodiff.composition import Composition
from smelt.errors import ShapeError
from smelt.ops import elementwise
from smelt.ops.op import Needs, Type, Typed
from smelt.tensor import Tensor

_sigmoid = elementwise.sigmoid.numpy


class Sequence(Composition):
    """All states (S, T, B, H) of a recurrence over x (T, B, G * H), which is W_ih x and the biases.

    Inputs are x, the S initial states (B, H), weight_hh (G * H, H), bias_hh if `has_bias`, and the
    mask (T, B, 1) of the places that count if `has_mask`. `order` is that of the gates in memory.
    """

    order: ClassVar[tuple[int, ...]] = (0,)
    num_states: ClassVar[int] = 1

    def __init__(
        self, definition: Callable[..., Tensor], reverse: bool, has_bias: bool, has_mask: bool
    ) -> None:
        super().__init__("recurrence", definition)
        self._direction = slice(None, None, -1 if reverse else 1)
        self._has_bias, self._has_mask = has_bias, has_mask

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        x, weight = types[0], types[1 + self.num_states]
        rows, width = weight.shape
        if rows != len(self.order) * width or x.shape[-1] != rows:
            raise ShapeError(
                f"recurrence: weight_hh {weight.shape} does not fit the projected input {x.shape}: "
                f"it must have {len(self.order)} rows per column, and as many rows as the input "
                "has columns"
            )
        return Type((self.num_states, *x.shape[:2], width), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        x, initial, bias = self._inside(arrays[0]), arrays[1 : 1 + self.num_states], None
        weight = self._weight(arrays)
        if self._has_bias:
            bias = self._ordered(arrays[2 + self.num_states])[:, None]
        states = np.empty((len(x) + 1, self.num_states, weight.shape[1], x.shape[-1]), x.dtype)
        states[0] = np.swapaxes(initial, 1, 2)
        self._gates, self._states = np.empty_like(x), states
        self._prepare()
        for t, (counts, gates) in enumerate(zip(self._mask(arrays), self._gates, strict=True)):
            rows = np.matmul(weight, states[t, 0], out=gates.reshape(len(weight), -1))
            if bias is not None:
                rows += bias
            self._forward(t, x[t], gates, states[t], states[t + 1])
            if counts is not None:
                np.copyto(states[t + 1], states[t], where=~counts)
        return np.ascontiguousarray(states[1:][self._direction].transpose(1, 0, 3, 2))

    def gradients(
        self, g: np.ndarray, needs: Needs, arrays: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray | None, ...]:
        carry, by_x, by_product = self._walked_back(g, arrays)
        steps, _, width, batch = self._states[1:].shape
        rows = by_product.reshape(steps, len(self.order) * width, batch)
        before = self._states[:-1, 0].transpose(0, 2, 1).reshape(steps * batch, width)
        by_weight = rows.swapaxes(0, 1).reshape(rows.shape[1], steps * batch) @ before
        found = [self._outside(self._finished(by_x, by_product)), *carry.transpose(0, 2, 1)]
        found += [self._in_given_order(by_weight)]
        found += [self._in_given_order(rows.sum((0, 2)))] * self._has_bias
        return (*found, *[None] * self._has_mask)

    def _walked_back(
        self, g: np.ndarray, arrays: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the cotangents of the first states, of x, and of the products with h."""
        g = np.ascontiguousarray(g.transpose(1, 0, 3, 2)[self._direction])
        back, factors = self._weight(arrays).T, self._factors()
        by_x, by_product = self._cotangents()
        carry, masks = np.zeros_like(self._states[0]), list(self._mask(arrays))
        for t in reversed(range(len(g))):
            carry += g[t]
            counts, kept = masks[t], None
            if counts is not None:
                kept, carry[...] = np.where(counts, 0, carry), np.where(counts, carry, 0)
            self._backward(t, carry, [x[t] for x in factors], by_x[t], by_product[t])
            carry[0] += back @ by_product[t].reshape(back.shape[1], -1)
            if kept is not None:
                carry += kept
        return carry, by_x, by_product

    def _inside(self, x: np.ndarray) -> np.ndarray:
        """Returns x as (T, G, H, B), in the order of the loop."""
        steps, batch, rows = x.shape
        apart = (steps, batch, len(self.order), rows // len(self.order))
        gates = x[self._direction].reshape(apart).transpose(0, 2, 3, 1)
        result = np.empty(gates.shape, x.dtype)
        for place, gate in enumerate(self.order):
            result[:, place] = gates[:, gate]
        return result

    def _outside(self, x: np.ndarray) -> np.ndarray:
        """Does the opposite."""
        steps, gates, width, batch = x.shape
        result = np.empty((steps, batch, gates, width), x.dtype)
        for place, gate in enumerate(self.order):
            result[:, :, gate] = x[:, place].transpose(0, 2, 1)
        return result.reshape(steps, batch, gates * width)[self._direction]

    def _weight(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        return self._ordered(arrays[1 + self.num_states])

    def _ordered(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows of a weight in the order of the gates in memory."""
        gates = rows.reshape(len(self.order), -1, *rows.shape[1:])
        return gates[list(self.order)].reshape(rows.shape)

    def _in_given_order(self, rows: np.ndarray) -> np.ndarray:
        """Does the opposite."""
        gates = rows.reshape(len(self.order), -1, *rows.shape[1:])
        return gates[np.argsort(self.order)].reshape(rows.shape)

    def _mask(self, arrays: tuple[np.ndarray, ...]) -> Any:
        """Returns which sequences count at each place, (1, B); None: all."""
        if not self._has_mask:
            return [None] * len(arrays[0])
        return arrays[-1][self._direction].transpose(0, 2, 1)

    def _prepare(self) -> None:
        """Makes further arrays of what is kept of each iteration."""

    def _forward(
        self, t: int, x: np.ndarray, gates: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> None:
        """Writes the states after iteration t; `gates` (G, H, B) hold the product with h."""
        raise NotImplementedError

    def _factors(self) -> tuple[np.ndarray, ...]:
        """Returns the derivatives of all gates at all times, by which `_backward` multiplies."""
        raise NotImplementedError

    def _cotangents(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the arrays that `_backward` fills: the gradient of x, and that of the product
        with h; the same one where nothing lies between.
        """
        by_x = np.empty_like(self._gates)
        return by_x, by_x

    def _backward(
        self,
        t: int,
        carry: np.ndarray,
        factors: list[np.ndarray],
        by_x: np.ndarray,
        by_product: np.ndarray,
    ) -> None:
        """Turns the cotangents of the states after iteration t into those before it, but for what
        reaches h through the product.
        """
        raise NotImplementedError

    def _finished(self, by_x: np.ndarray, by_product: np.ndarray) -> np.ndarray:
        """Returns the gradient of x once the loop has run."""
        return by_x


class ElmanSequence(Sequence):
    """That of `RNN`, whose nonlinearity is tanh."""

    def _activate(self, x: np.ndarray, out: np.ndarray) -> None:
        np.tanh(x, out=out)

    def _slopes(self, h: np.ndarray) -> np.ndarray:
        return 1 - h * h

    def _forward(self, t: Any, x: Any, gates: Any, before: Any, after: Any) -> None:
        gates += x
        self._activate(gates, after)

    def _factors(self) -> tuple[np.ndarray, ...]:
        return (self._slopes(self._states[1:]),)

    def _backward(self, t: Any, carry: Any, factors: Any, by_x: Any, by_product: Any) -> None:
        np.multiply(carry, factors[0], out=by_x)
        carry[...] = 0


class RectifiedSequence(ElmanSequence):
    """That of `RNN`, whose nonlinearity is relu."""

    def _activate(self, x: np.ndarray, out: np.ndarray) -> None:
        out[...] = elementwise.relu.numpy(x)

    def _slopes(self, h: np.ndarray) -> np.ndarray:
        return (h > 0).astype(h.dtype)


class LSTMSequence(Sequence):
    """That of `LSTM`: the states h, c; the gates g, i, f, o in memory."""

    # i, f, o side by side for sigmoid; g, i, f for the cotangent of c
    order: ClassVar[tuple[int, ...]] = (2, 0, 1, 3)
    num_states = 2

    def _prepare(self) -> None:
        self._tanh = np.empty_like(self._states[1:, 1])  # of c

    def _forward(self, t: Any, x: Any, gates: Any, before: Any, after: Any) -> None:
        gates += x
        gates[1:] = _sigmoid(gates[1:])
        g, i, f, o = gates
        np.tanh(g, out=g)
        c, tanh = after[1], self._tanh[t]
        np.multiply(f, before[1], out=c)
        c += i * g
        np.tanh(c, out=tanh)
        np.multiply(o, tanh, out=after[0])

    def _factors(self) -> tuple[np.ndarray, ...]:
        g, i, f, o = self._gates.swapaxes(0, 1)
        into_c = (i * (1 - g * g), g * (i * (1 - i)), self._states[:-1, 1] * (f * (1 - f)))
        by_h = self._tanh * (o * (1 - o))
        return np.stack(into_c, 1), by_h, o * (1 - self._tanh * self._tanh)  # from h to c

    def _backward(self, t: Any, carry: Any, factors: Any, by_x: Any, by_product: Any) -> None:
        (h, c), (by_c, by_h, from_h) = carry, factors
        c += h * from_h
        np.multiply(by_c, c, out=by_x[:3])
        np.multiply(by_h, h, out=by_x[3])
        c *= self._gates[t, 2]
        h[...] = 0


class GRUSequence(Sequence):
    """That of `GRU`: the gates r, z, n, of which n multiplies its part of the product by r."""

    order: ClassVar[tuple[int, ...]] = (0, 1, 2)

    def _prepare(self) -> None:
        self._product = np.empty_like(self._states[1:, 0])  # the part of n

    def _forward(self, t: Any, x: Any, gates: Any, before: Any, after: Any) -> None:
        n, both = gates[2], gates[:2]
        self._product[t] = n
        both += x[:2]
        both[...] = _sigmoid(both)
        r, z = both
        n *= r
        n += x[2]
        np.tanh(n, out=n)
        following = np.subtract(before[0], n, out=after[0])
        following *= z
        following += n

    def _factors(self) -> tuple[np.ndarray, ...]:
        r, z, n = self._gates.swapaxes(0, 1)
        by_n = (1 - z) * (1 - n * n)
        by_r = by_n * self._product * (r * (1 - r))
        by_z = (self._states[:-1, 0] - n) * (z * (1 - z))
        return by_n, np.stack((by_r, by_z, by_n * r), 1)

    def _cotangents(self) -> tuple[np.ndarray, np.ndarray]:
        return np.empty_like(self._gates), np.empty_like(self._gates)

    def _backward(self, t: Any, carry: Any, factors: Any, by_x: Any, by_product: Any) -> None:
        (h,), (by_n, by_gates) = carry, factors
        np.multiply(by_gates, h, out=by_product)
        np.multiply(by_n, h, out=by_x[2])
        h *= self._gates[t, 1]

    def _finished(self, by_x: np.ndarray, by_product: np.ndarray) -> np.ndarray:
        by_x[:, :2] = by_product[:, :2]
        return by_x
