"""Module: a function with parameters.

    class Perceptron(nn.Module):
        def __init__(self):
            self.hidden = nn.Linear(2, 8)
            self.output = nn.Linear(8, 1)
        def forward(self, x):                            # (B, 2)
            return self.output(self.hidden(x).tanh())    # (B, 1)

Its parameters and submodules are plain attributes.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from smelt import guards
from smelt.autodiff.reverse import clear_gradients
from smelt.errors import (
    ArgumentError,
    AssignmentError,
    MissingName,
    SmeltError,
    StateError,
    TraceError,
)
from smelt.ir.postorder import postorder
from smelt.location import running, with_location
from smelt.nn import listing
from smelt.nn.checks import BOOKS, check_container, check_containers, check_depth
from smelt.nn.conversion import Convertible, with_tensors
from smelt.nn.hooks import KINDS, BackwardPass, Hooked
from smelt.nn.named import Named
from smelt.nn.parameter import Buffer, Parameter
from smelt.nn.structure import copied, joined, text_of, walk
from smelt.other_libraries import MODEL
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import (
    RAW,
    checked,
    checked_flags,
    explained,
    misfit,
    passed_through_foreign_code,
)
from smelt.tensor.spellings import Respelled, respelled
from smelt.tracing.engine import current_engine, no_grad

__all__ = ["LoadedKeys", "Module"]


class LoadedKeys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


@checked_flags
class Module(Convertible, Hooked, Named):
    """The base of every layer and network.

    Parameters, buffers and submodules are attributes. Subclasses set them in `__init__` and say in
    `forward` what the module computes; calling the module calls `forward`. Names, `state_dict` keys
    and layouts are PyTorch's.
    """

    stays_itself_compiled: ClassVar[bool] = True  # `smelt.compile(module)` is this module as well
    training: bool = True
    _takes_arrays: ClassVar[bool] = False  # as the layers of Smelt do wherever they take tensors
    _name: str = ""  # under which the parent holds it; for error messages
    _buffers: Mapping[str, bool] = {}  # name -> whether it belongs to the state_dict
    _computed: Mapping[str, Callable[[Any], Tensor]] = {}  # name -> what makes it when it is read

    # --- computing --------------------------------------------------------------------------------

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Computes the module's output; every subclass defines it."""
        own = set(dir(self)) - set(dir(Module))
        near = difflib.get_close_matches("forward", own, 1, 0.8) or sorted(own & {"call"})
        hint = f"; did you mean {near[0]}() to be it?" if near else ""
        raise NotImplementedError(with_location(f"{type(self).__name__} has no forward(){hint}"))

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        current_engine().note_module(self)  # a trace remembers which settings it was made for
        modules = running.modules
        name = self._name or type(self).__name__.lower()
        try:
            modules.append(name)
            if self._takes_arrays and not (len(inputs) == 1 and type(inputs[0]) is Tensor):
                inputs, options = with_tensors((inputs, options))
            if self._pre_hooks:
                inputs = self._before(inputs)
            if self._backward_hooks:
                output = self._watched(inputs, options)
            else:
                output = self.forward(*inputs, **options)
            if self._hooks:
                output = self._after(inputs, output)
        except RecursionError as error:
            check_depth(error)
            raise
        except RAW as error:
            again = self._respelled(error, inputs, options)
            if again is None:
                self._explain(error, inputs, options)
                raise
            output = self(*again.arguments[1:], **again.options)
        finally:
            modules.pop()
        return output

    def _watched(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Computes the output, and lets the backward hooks see the gradients of both ends."""
        run = BackwardPass(self, inputs)
        return run.watch(self.forward(*run.inputs, **options))

    def _respelled(
        self, error: Exception, inputs: tuple[Any, ...], options: dict[str, Any]
    ) -> Respelled | None:
        """Returns a call of a layer of Smelt's in Smelt's words, if it was in others."""
        own = type(self).__module__.startswith("smelt.nn.") and type(error) is TypeError
        return respelled(type(self).forward, (self, *inputs), options) if own and options else None

    def _explain(self, error: Exception, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Raises in Smelt's words what a layer of Smelt's met in the words of Python or NumPy."""
        if isinstance(error, TypeError) and not isinstance(error, SmeltError):
            name = f"{type(self).__name__}.forward"
            unfit = misfit(name, self.forward, inputs, options, error)
            if unfit is not None:
                raise unfit from None
        own = type(self).__module__.startswith("smelt.nn.") and not isinstance(error, SmeltError)
        if own and not passed_through_foreign_code(error):
            wrong = explained(type(self).forward, (self, *inputs), options, error)
            raise wrong from error

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the layers of Smelt say what is wrong with the arguments that they are made of."""
        super().__init_subclass__(**options)
        if not cls.__module__.startswith("smelt.nn."):
            return
        layer: Any = cls
        layer._takes_arrays = True
        if layer.__init__ is object.__init__:
            layer.__init__ = _without_settings(layer)
        if "__init__" in vars(layer):
            layer.__init__ = checked(layer.__init__, every_kind=True)
        checked_flags(layer)

    # --- attributes -------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            self._check_state(name, value)
            self._as_buffer(name, value)
        elif isinstance(value, Module):
            self._check_method_name(name)
            value._rename(self._child_path(name))
        else:
            check_container(type(self).__name__, name, value)
        self._check_replaced(name, value)
        if vars(self).get(name) is not value and not (
            isinstance(value, Tensor) and value.is_traced
        ):
            guards.changed()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        vars(self).get("_buffers", {}).pop(name, None)
        guards.changed()

    if not TYPE_CHECKING:  # so that a type checker still sees misspelled attributes

        def __getattr__(self, name: str) -> Any:
            if name in vars(self).get("_computed", ()):
                return self._computed[name](self)
            message = f"{type(self).__name__} has no attribute {name!r}"
            if name.startswith("__"):  # a protocol of Python's asks
                raise AttributeError(message)
            raise MissingName(message, lambda: self._near(name))

    def _near(self, name: str) -> str:
        if name in MODEL:
            return f": {MODEL[name]}"
        near = difflib.get_close_matches(name, dir(self), 1)
        return f"; did you mean {near[0]!r}?" if near else ""

    def __copy__(self) -> Self:
        """A module with the same parameters and submodules; compiled methods are its own."""
        result = type(self).__new__(type(self))
        attributes = vars(result)
        for name, value in vars(self).items():
            if name in BOOKS:
                value = dict(value)
            elif hasattr(type(value), "rebound"):
                value = value.rebound(self, result)
            attributes[name] = value
        return result

    def _innermost_first(self) -> list[Module]:
        roots: list[Module] = [self]
        return postorder(roots, Module.children)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A module with parameters and submodules of its own."""
        for module in self._innermost_first():  # so that copying one copies none within
            if id(module) in memo:
                continue
            is_plain = type(module).__deepcopy__ is Module.__deepcopy__ or module is self
            made = copied(module, memo) if is_plain else copy.deepcopy(module, memo)
            memo[id(module)] = made
        return memo[id(self)]

    def _check_replaced(self, name: str, value: Any) -> None:
        """Refuses what would take a parameter or a buffer out of the module in silence."""
        held = vars(self).get(name)
        owner = type(self).__name__
        if name in self._computed:
            raise AssignmentError(
                f"{owner}.{name} is computed from other parameters; change those, or call "
                f"nn.utils.remove_weight_norm first"
            )
        if value is None or isinstance(value, (Parameter, Module)):
            return
        if isinstance(held, Parameter):
            raise AssignmentError(
                f"{owner}.{name} is a parameter and cannot be replaced by a "
                f"{type(value).__name__}. Change its values with .{name}.copy_(value) under "
                f"smelt.no_grad(), or assign nn.Parameter(value)"
            )
        if held is not None and name in self._buffers and not isinstance(value, Tensor):
            raise AssignmentError(
                f"{owner}.{name} is a buffer and cannot be replaced by a "
                f"{type(value).__name__}; assign a tensor"
            )

    def _check_state(self, name: str, value: Tensor) -> None:
        if value.is_traced and (
            name in self._buffers or isinstance(vars(self).get(name), Parameter)
        ):
            raise TraceError(
                f"{type(self).__name__}.{name} is state and cannot be replaced inside a "
                f"compiled step; write self.{name}.copy_(...) under smelt.no_grad()"
            )

    def _check_method_name(self, name: str) -> None:
        if hasattr(Module, name) or callable(getattr(type(self), name, None)):
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a method or setting; rename the submodule"
            )

    def _child_path(self, name: str) -> str:
        return name

    def _rename(self, name: str) -> None:
        vars(self)["_name"] = name

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Makes `tensor` a buffer: state that is not learned, such as running statistics.

        Args:
            name: the attribute that will hold it.
            tensor: the initial values, or None for a buffer that is not used.
            persistent: whether `state_dict` contains it.
        """
        if name in vars(self) and name not in self._buffers:
            raise ArgumentError(f"{type(self).__name__} already has an attribute {name!r}")
        vars(self).setdefault("_buffers", {})[name] = persistent
        setattr(self, name, tensor)

    def _as_buffer(self, name: str, value: Tensor) -> None:
        """Makes a tensor that is assigned to a buffer's name a Buffer, and the reverse."""
        if isinstance(value, Buffer) and name not in self._buffers:
            vars(self).setdefault("_buffers", {})[name] = True
        elif name in self._buffers and type(value) is Tensor and not value.is_traced:
            value.__class__ = Buffer  # the same object: the user may hold it

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Sets attribute `name`; the same as plain assignment."""
        setattr(self, name, parameter)

    # --- what it holds ----------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yields the direct submodules with their names, each once."""
        seen: set[int] = set()
        for name, value in vars(self).items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """Yields the direct submodules."""
        return (child for _, child in self.named_children())

    def _below(self) -> list[tuple[str, Module]]:
        check_containers(self)  # to which something was added after they were assigned
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yields this module and all below it with their paths; a shared one once, unless asked."""
        return walk(self, Module._below, prefix, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yields this module and all below it."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yields the parameters with their paths; a tied one once, unless asked."""
        return self._named_tensors(Module._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yields the parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yields the buffers with their paths."""
        return self._named_tensors(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yields the buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _own_parameters(self) -> Iterator[tuple[str, Any]]:
        return ((name, own) for name, own in vars(self).items() if isinstance(own, Parameter))

    def _own_buffers(self) -> Iterator[tuple[str, Any]]:
        buffers = ((name, vars(self).get(name)) for name in self._buffers)
        return ((name, buffer) for name, buffer in buffers if buffer is not None)

    def _named_tensors(
        self,
        own: Callable[[Module], Iterator[tuple[str, Any]]],
        prefix: str,
        recurse: bool,
        remove_duplicate: bool,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in own(module):
                if not remove_duplicate or id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield joined(path, name), tensor

    # --- changing it ------------------------------------------------------------------------------

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Calls `function` on every module below, then on this one; returns the module itself."""
        for module in self._innermost_first():
            function(module)
        return self

    def train(self, mode: bool = True) -> Self:
        """Puts the module and all below into training mode: dropout acts, statistics change."""
        for module in self.modules():
            if module.training is not mode:
                module.training = mode
        return self

    def eval(self) -> Self:
        """Puts the module and all below into evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Sets for every parameter whether its gradient is computed."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters, or sets them to zeros."""
        clear_gradients(self.parameters(), set_to_none)

    # --- its state --------------------------------------------------------------------------------

    def _named_state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for path, module in walk(self, Module._below, once=False):
            for name, parameter in module._own_parameters():
                yield prefix + joined(path, name), parameter
            for name, buffer in module._own_buffers():
                if module._buffers[name]:
                    yield prefix + joined(path, name), buffer

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Returns parameters and persistent buffers by path, with PyTorch's keys.

        The tensors share the module's memory: they show later changes. Copy what must not change.
        """
        return {key: tensor.detach() for key, tensor in self._named_state(prefix)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Copies the values of `state_dict` into parameters and buffers, cast to their dtypes.

        Args:
            state_dict: Tensors or NumPy arrays by path.
            strict: whether the keys must be exactly the module's own.

        Returns:
            The keys that the module has but not the dict, and the reverse.

        Raises:
            ArgumentError: `state_dict` is not a dict.
            StateError: keys (when strict) or shapes do not fit; nothing has been changed then.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentError(
                "load_state_dict needs a dict from paths to tensors, got a "
                f"{type(state_dict).__name__}; {_state_of(state_dict)}"
            )
        own = dict(self._named_state())
        given = {key: as_tensor(value) for key, value in state_dict.items()}
        result = LoadedKeys(
            [key for key in own if key not in given], [k for k in given if k not in own]
        )
        shared = [key for key in own if key in given]
        problems = [
            f"{key}: shape {given[key].shape} in the state_dict, {own[key].shape} in the module"
            for key in shared
            if given[key].shape != own[key].shape
        ]
        if strict:
            problems += _listed("missing", result.missing_keys)
            problems += _listed("unexpected", result.unexpected_keys)
        if problems:
            lines = "".join(f"\n  {problem}" for problem in problems)
            raise StateError(f"the state_dict does not fit {type(self).__name__}:{lines}")
        with no_grad():
            for key in shared:
                own[key].copy_(given[key])
        return result

    def fingerprint(self) -> Hashable:
        """Returns a hashable of everything here and below that a compiled step takes as constant.

        That is classes, Python attributes, `training`, which tensors there are, which are frozen.
        """
        modules = list(self.modules())
        numbers = {id(module): number for number, module in enumerate(modules)}
        return tuple([module._own_fingerprint(numbers) for module in modules])

    def _own_fingerprint(self, numbers: Mapping[int, int]) -> Hashable:
        # hooks and `training` count alike on the class and on the object; `_held` are attributes
        aside = ("_name", "_held", *KINDS, "training")
        attributes = tuple(
            (name, numbers.get(id(value)) if isinstance(value, Module) else guards.frozen(value))
            for name, value in vars(self).items()
            if name not in aside
        )
        hooks = tuple(tuple(getattr(self, kind).values()) for kind in KINDS)
        return type(self), self.training, hooks, attributes

    # --- looking at it ----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Returns the settings that `repr` shows in parentheses."""
        return ""

    def _repr_html_(self) -> str:
        return listing.as_html(self)

    def __repr__(self) -> str:
        return text_of(self, Module._below, Module._head, Module._own_text)

    def _head(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()}"

    def _own_text(self) -> str | None:
        return None if type(self).__repr__ is Module.__repr__ else repr(self)


def _without_settings(cls: type[Module]) -> Callable[[Module], None]:
    """Returns an `__init__` without arguments that errors name by its class."""

    def __init__(self: Module) -> None:
        """Makes the module; it has no settings."""

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _state_of(given: Any) -> str:
    """Returns how to get a state_dict from what was given in its place."""
    loaded = "smelt.load(path) reads one from a file"
    return "pass its state_dict()" if isinstance(given, Module) else loaded


def _listed(what: str, keys: Iterable[str]) -> list[str]:
    return [f"{key}: {what}" for key in keys]
