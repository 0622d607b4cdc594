"""Hooks on tensors: functions that see, and may replace, a gradient in the backward pass.

They are stored apart from the tensors, since few tensors have any. The reverse walk calls the hooks
of intermediate tensors; `backward` and `autograd.grad` call those of the leaves.

An exchange is one hook on several leaves: when `backward` has found all their gradients, it passes
them to the exchange together, after each leaf's own hooks.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from smelt.errors import ArgumentTypeError, ShapeError

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "HookHandle", "add_hook", "exchange_of", "exchanged", "hooked", "hooks_of", "register",
    "retain", "set_exchange",
]  # fmt: skip

Hook = Callable[[Any], Any]
Pairs = Sequence[tuple[Any, Any]]  # tensors and their gradients
Exchange = Callable[[Pairs], Sequence[Any]]  # returns other gradients, in the same order


class HookHandle:
    """What registering a hook returns: `remove()` removes the hook.

    Args:
        hooks: the dictionary that holds the hook.
        key: its key there.
        changed: called after the removal.
    """

    def __init__(
        self, hooks: dict[int, Any], key: int, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._hooks = hooks
        self._key = key
        self._changed = changed

    def remove(self) -> None:
        """Removes the hook; a second call does nothing."""
        if self._hooks.pop(self._key, None) is not None:
            self._changed()

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class _Hooks:
    """The hooks of one tensor."""

    def __init__(self, tensor: Tensor) -> None:
        key = id(tensor)
        self.reference = weakref.ref(tensor, lambda _: _of_tensor.pop(key, None))
        self.functions: dict[int, Hook] = {}
        self.retains = False  # whether the gradient is stored in `.grad`
        self.exchange: Exchange | None = None


_of_tensor: dict[int, _Hooks] = {}


def _found(tensor: Tensor) -> _Hooks | None:
    """Returns the hooks of a tensor; ids are reused, so the tensor itself is compared."""
    found = _of_tensor.get(id(tensor))
    return found if found is not None and found.reference() is tensor else None


def _entry(tensor: Tensor) -> _Hooks:
    found = _found(tensor)
    if found is None:
        found = _of_tensor[id(tensor)] = _Hooks(tensor)
    return found


def add_hook(tensor: Tensor, hook: Hook, changed: Callable[[], None] = lambda: None) -> HookHandle:
    """Calls `hook(gradient)` for every gradient of a tensor; what it returns replaces it.

    Args:
        tensor: requires a gradient.
        hook: takes the gradient and returns another one of its shape, or None.
        changed: called when the hook is removed.

    Raises:
        ArgumentTypeError: `hook` cannot be called.
    """
    if not callable(hook):
        raise ArgumentTypeError(
            f"register_hook: hook must be a function, got a {type(hook).__name__}"
        )
    return register(_entry(tensor).functions, hook, changed)


def register(
    hooks: dict[int, Callable[..., Any]],
    hook: Callable[..., Any],
    changed: Callable[[], None] = lambda: None,
) -> HookHandle:
    """Adds a hook after the others; returns its handle, which calls `changed` on removal."""
    key = max(hooks, default=-1) + 1
    hooks[key] = hook
    return HookHandle(hooks, key, changed)


def retain(tensor: Tensor) -> None:
    """Makes `backward` store the gradient of a computed tensor in its `.grad`."""
    _entry(tensor).retains = True


def hooks_of(tensor: Tensor) -> Hashable:
    """Returns a key of a tensor's hooks, by which a compiled step sees that they are the same."""
    found = _found(tensor)
    if found is None:
        return ()
    return (*map(id, found.functions.values()), found.retains, id(found.exchange))


def hooked(tensor: Tensor, gradient: Tensor) -> Tensor:
    """Returns a gradient after the hooks of its tensor.

    Raises:
        ShapeError: a hook returned another shape.
    """
    found = _found(tensor) if _of_tensor else None
    if found is None:
        return gradient
    for hook in tuple(found.functions.values()):
        replaced = hook(gradient)
        if replaced is None:
            continue
        if getattr(replaced, "shape", None) != tensor.shape:
            raise ShapeError(
                f"register_hook: a hook must return None or a gradient of shape {tensor.shape}, "
                f"got {getattr(replaced, 'shape', type(replaced).__name__)}"
            )
        gradient = replaced
    if found.retains and tensor.tape_entry is not None:
        tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient
    return gradient


def set_exchange(tensors: Iterable[Tensor], exchange: Exchange | None) -> None:
    """Makes `backward` pass the gradients of these tensors to a function, all together; None undoes
    it.
    """
    for tensor in tensors:
        _entry(tensor).exchange = exchange


def exchange_of(tensor: Tensor) -> Exchange | None:
    """Returns the exchange of a tensor, None if it has none."""
    found = _found(tensor) if _of_tensor else None
    return None if found is None else found.exchange


def exchanged(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Returns tensors with their gradients after the exchanges."""
    if not _of_tensor:
        return pairs
    together: dict[int, tuple[Exchange, list[int]]] = {}
    for place, (tensor, _) in enumerate(pairs):
        exchange = exchange_of(tensor)
        if exchange is not None:
            together.setdefault(id(exchange), (exchange, []))[1].append(place)
    result = list(pairs)
    for exchange, places in together.values():
        gradients = exchange([pairs[place] for place in places])
        for place, gradient in zip(places, gradients, strict=True):
            result[place] = pairs[place][0], gradient
    return result
