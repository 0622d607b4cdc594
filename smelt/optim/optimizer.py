"""Optimizer: the base of all optimizers, which add their formulas (`step_scalars`, `update`).

All state (moments, step counts, learning rates) exists from the start and is changed only in place,
so an optimizer runs in the same way inside and outside a compiled step.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from smelt import guards
from smelt.autodiff.reverse import clear_gradients
from smelt.dtypes import DType, float64, int64
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError, StateError
from smelt.location import warn
from smelt.memory import aligned_copy
from smelt.ops.op import Shape
from smelt.optim.checks import checked_setting
from smelt.optim.given import groups_of, parameters_of
from smelt.optim.group import Group, scalar
from smelt.optim.together import Update, joined, same_count
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked, checked_flags, described
from smelt.tensor.shaping import narrow
from smelt.tracing.engine import current_engine, enable_grad, no_grad

__all__ = ["Optimizer"]

_OPTIONAL = "initial_lr"  # a group has it once a schedule was made


@checked_flags
class Optimizer:
    """The base of optimizers.

    Args:
        params: the tensors to optimize, or dicts with "params" and their own settings.
        defaults: the settings of the groups that do not give their own; "lr" is one of them.

    Attributes:
        param_groups: the groups, dicts with "params", "lr" and the other settings.
        state: per parameter its moments by name.
        is_elementwise: whether `update` treats each element of a parameter independently; small
            parameters are then updated together.
        single_numbers: the moments that are one number per parameter, shape ().

    Raises:
        ArgumentError: no parameters, objects that are not tensors, a parameter twice, a setting
            outside its range, or under another name.
    """

    is_elementwise: ClassVar[bool] = False
    single_numbers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._has_warned = False
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        for group in groups_of(type(self).__name__, params):
            self.add_param_group(group)

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the optimizers of Smelt say what is wrong with the arguments that they get."""
        super().__init_subclass__(**options)
        if "update" in vars(cls) and "is_elementwise" not in vars(cls):
            cls.is_elementwise = False  # other mathematics than the base's
        if cls.__module__.startswith("smelt.optim.") and "__init__" in vars(cls):
            cls.__init__ = checked(cls.__init__, every_kind=True)  # type: ignore[method-assign]

    # --- the mathematics, given by each optimizer -------------------------------------------------

    def init_state(self, group: Group) -> dict[str, float]:
        """Returns the names of a parameter's moments and their initial values."""
        return {}

    def check_group(self, group: Group) -> None:
        """Raises ArgumentError for settings that exclude each other."""

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        """Returns the numbers that `update` needs in addition to the group's settings.

        Args:
            group: the settings.
            t: float64 (n,), which update this is for each of the group's n parameters, from 1 on;
                eagerly of shape () where it is the same for all.

        Returns:
            Python numbers, tensors of shape (), or one number per parameter, shape (n,); float64.
        """
        return ()

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        """Changes parameter `x` and its moments in place, given its gradient `g`."""
        raise NotImplementedError(f"{type(self).__name__}: update")

    # --- stepping ---------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; the others are not changed.

        Args:
            closure: computes the loss and its gradients, before the update; its result is returned.

        Raises:
            ArgumentTypeError: `closure` is not a function.
        """
        self._note()
        if closure is None:
            return self._update_all()
        if not callable(closure):
            raise ArgumentTypeError(
                f"{type(self).__name__}.step: closure must be a function that computes the loss, "
                f"got {described(closure)}"
            )
        with enable_grad():
            loss = closure()
        self._update_all()
        return loss

    def _update_all(self) -> None:
        self._check_gradients()
        with no_grad():
            for group in self.param_groups:
                self._step_group(group)

    def _check_gradients(self) -> None:
        """Says, once, that a step changes nothing."""
        if self._has_warned or any(x.grad is not None for x in self._parameters()):
            return
        self._has_warned = True
        name, parameters = type(self).__name__, list(self._parameters())
        if not any(x.requires_grad for x in parameters):
            why = "none of them requires one (requires_grad_())"
        else:
            why = (
                "was backward() called, on a loss that is computed from them, and zero_grad() "
                "not between it and step()?"
            )
        warn(
            f"{name}.step: no parameter of {len(parameters)} has a gradient, so none is changed; "
            f"{why}"
        )

    def _step_group(self, group: Group) -> None:
        parameters: list[Tensor] = group["params"]
        has_gradient = [x.grad is not None for x in parameters]
        if not any(has_gradient):
            return
        self._check_no_new_state(group)
        count: Tensor = group["step"]
        count.copy_(count + (1 if all(has_gradient) else np.array(has_gradient, np.int64)))
        scalars = self.step_scalars(group, same_count(count.to(float64)))
        updates = [
            Update(x, -x.grad if group.get("maximize") else x.grad, self.state[x], index)
            for index, x in enumerate(parameters)
            if x.grad is not None
        ]
        finish: list[Callable[[], None]] = []
        if self.is_elementwise and not any(isinstance(s, Tensor) and s.ndim for s in scalars):
            updates, finish = joined(updates)
        for x, g, state, index in updates:
            own = [_scalar_of(value, index, x.dtype) for value in scalars]
            self.update(x, g, state, group, *own)
        for write in finish:
            write()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters, or sets them to zeros."""
        self._note()
        clear_gradients(self._parameters(), set_to_none)

    def _note(self) -> None:
        current_engine().note_module(self)  # a trace remembers which settings it was made for

    def _check_no_new_state(self, group: Group) -> None:
        for name in self.init_state(group):
            if name not in self.state[group["params"][0]]:
                raise ArgumentError(
                    f"{type(self).__name__}: a setting that needs {name} was switched on after "
                    "the optimizer was made; make a new optimizer with it"
                )

    # --- groups -----------------------------------------------------------------------------------

    def add_param_group(self, given: Mapping[str, Any]) -> None:
        """Adds parameters with their own settings, and creates their state.

        Args:
            given: a dict with "params" and settings.

        Raises:
            ArgumentError: no parameters, objects that are not tensors, a parameter twice, a setting
                outside its range, or under another name.
        """
        parameters = parameters_of(type(self).__name__, given)
        self._check_once(parameters)
        values = {**self.defaults, **given, "params": parameters}
        group = Group(values, type(self).__name__, (*self.defaults, "params", _OPTIONAL, "step"))
        self.check_group(group)
        group.data["lr"] = scalar(group["lr"])
        if any(_OPTIONAL in one for one in (group, *self.param_groups[:1])):  # there is a schedule
            group.data[_OPTIONAL] = scalar(group.get(_OPTIONAL, group["lr"]))
        group.data["step"] = Tensor(np.zeros(len(parameters), np.int64), int64)
        for x in parameters:
            self.state[x] = {
                name: _full(() if name in self.single_numbers else x.shape, start, x.dtype)
                for name, start in self.init_state(group).items()
            }
        self.param_groups.append(group)
        guards.changed()

    def _check_once(self, parameters: list[Tensor]) -> None:
        is_new = not any(x in self.state for x in parameters)  # as those of a long list of groups
        seen = set() if is_new else {id(x) for x in self._parameters()}
        for x in parameters:
            if id(x) in seen:
                raise ArgumentError(
                    f"{type(self).__name__}: a parameter {x.shape} was given twice; each can be in "
                    "one group only, once"
                )
            seen.add(id(x))

    def _parameters(self) -> Iterator[Tensor]:
        return (x for group in self.param_groups for x in group["params"])

    def fingerprint(self) -> Hashable:
        """Returns a hashable of everything that a compiled step takes as constant."""
        return type(self), tuple(guards.frozen(group.data) for group in self.param_groups)

    # --- saving and resuming ----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Returns all state as tensors by flat names: what is needed to resume exactly.

        Names are `state.<parameter number>.<moment>` and `param_groups.<number>.<setting>`. The
        tensors share memory with the optimizer: copy what must not change.
        """
        return {
            key: value.detach() if isinstance(value, Tensor) else _as_saved(value)
            for key, value in self._named_state()
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copies moments, step counts and settings from `state_dict`.

        Raises:
            StateError: keys or shapes do not fit; nothing has been changed then.
        """
        own = dict(self._named_state())
        given = {key: as_tensor(value) for key, value in state_dict.items()}
        different = {key for key in own.keys() ^ given.keys() if not self._is_optional(key)}
        problems = _alike("missing", [key for key in own if key in different])
        problems += _alike("unexpected", [key for key in given if key in different])
        problems += [
            f"{key}: shape {given[key].shape} in the state_dict, {own[key].shape} in the optimizer"
            for key in own
            if key in given and isinstance(own[key], Tensor) and own[key].shape != given[key].shape
        ]
        problems += self._out_of_range(own, given)
        if problems:
            problems += _other_settings(own, given)
            lines = "".join(f"\n  {problem}" for problem in problems)
            raise StateError(f"the state_dict does not fit {type(self).__name__}:{lines}")
        for key in own.keys() & given.keys():
            value = own[key]
            if isinstance(value, Tensor):
                value.copy_(given[key])
            else:
                self._restore_setting(key, type(value)(given[key].item()))
        for key in given.keys() - own.keys():
            self._restore_setting(key, scalar(given[key]))

    def _out_of_range(self, own: Mapping[str, Any], given: Mapping[str, Tensor]) -> list[str]:
        """Returns what is wrong with the values of settings that are Python's."""
        problems = []
        for key, value in own.items():
            if key in given and not isinstance(value, Tensor):
                try:
                    group, name, restored = self._restored(key, type(value)(scalar(given[key])))
                    checked_setting(group.owner, name, restored)
                except (ArgumentError, ShapeError) as error:
                    problems.append(f"{key}: {error.message}")
        return problems

    def _is_optional(self, key: str) -> bool:
        return key in {f"param_groups.{i}.{_OPTIONAL}" for i in range(len(self.param_groups))}

    def _named_state(self) -> Iterator[tuple[str, Any]]:
        for index, x in enumerate(self._parameters()):
            for name, moment in self.state[x].items():
                yield f"state.{index}.{name}", moment
        for index, group in enumerate(self.param_groups):
            for name, value in group.items():
                path = f"param_groups.{index}.{name}"
                if isinstance(value, tuple):
                    yield from ((f"{path}.{position}", item) for position, item in enumerate(value))
                elif name != "params" and isinstance(value, (Tensor, bool, int, float)):
                    yield path, value

    def _restore_setting(self, key: str, value: Any) -> None:
        group, name, restored = self._restored(key, value)
        group[name] = restored

    def _restored(self, key: str, value: Any) -> tuple[Group, str, Any]:
        """Returns the group and the name of a setting, and its value, of which this may be an
        item.
        """
        _, index, name, *positions = key.split(".")
        group = self.param_groups[int(index)]
        if not positions:
            return group, name, value
        before, position = group[name], int(positions[0])
        return group, name, (*before[:position], value, *before[position + 1 :])

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter group {index}")
            shown = (name for name in sorted(group) if name not in ("params", "step"))
            lines += [f"    {name}: {_shown(group[name])}" for name in shown]
        return "\n".join([*lines, ")"])


def _alike(what: str, keys: Iterable[str]) -> list[str]:
    """Returns a line for each kind of keys, those of the parameters' moments being one by name."""
    kinds: dict[str, list[str]] = {}
    for key in keys:
        kind = key.rsplit(".", 1)[-1] if key.startswith("state.") else key
        kinds.setdefault(kind, []).append(key)
    return [
        f"{first}{f' and {len(more)} more of the kind' if more else ''}: {what}"
        for first, *more in kinds.values()
    ]


def _other_settings(own: Mapping[str, Any], given: Mapping[str, Tensor]) -> list[str]:
    """Returns which of the settings that are Python's have other values."""
    plain = [key for key, value in own.items() if key in given and not isinstance(value, Tensor)]
    return [
        f"{key}: {given[key].item()} in the state_dict, {own[key]} in the optimizer"
        for key in plain
        if given[key].size == 1 and given[key].item() != own[key]
    ]


def _full(shape: Shape, start: float, dtype: DType) -> Tensor:
    full = as_tensor(np.full(shape, start)).to(dtype)
    return Tensor(aligned_copy(full.stored), dtype)


def _scalar_of(value: Any, index: int, dtype: DType) -> Any:
    """Returns the step scalar that belongs to a parameter, in its dtype."""
    if not isinstance(value, Tensor):
        return value
    return (narrow(value, 0, index, 1).reshape(()) if value.ndim else value).to(dtype)


def _as_saved(value: Any) -> Tensor:
    return as_tensor(np.asarray(value))


def _shown(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) and not value.is_traced else value
