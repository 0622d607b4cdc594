"""`from_torch`: a module of PyTorch's as a Module that Smelt computes and trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from smelt import tree
from smelt.compiler.frontend.builder import Builder
from smelt.compiler.frontend.signature import flatten_call
from smelt.errors import ArgumentError, ArgumentTypeError, CompileError, MissingExtra
from smelt.export.torch.exported import Missing, refuse
from smelt.export.torch.module import TorchModule, named
from smelt.export.torch.structure import TENSOR, Arguments
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = ["from_torch"]

MODES = {True: "training", False: "evaluation"}


def from_torch(
    module: Any,
    *example_inputs: Any,
    dynamic_shapes: Any = None,
    example_options: Mapping[str, Any] | None = None,
) -> TorchModule:
    """Returns a module of PyTorch's, unchanged, as a Module that Smelt computes and trains.

    `torch.export` writes down the operators that the module calls, once in training mode and once
    in evaluation mode; Smelt computes these. PyTorch is needed for this call only.

    Args:
        module: an `nn.Module` of PyTorch's. It stays as it is.
        example_inputs: what it is called with: tensors of PyTorch's, Smelt's or NumPy's; lists,
            tuples and dicts of them; numbers and None, which become constants.
        dynamic_shapes: the axes whose extents may change, as in `torch.export.export`; a name, as
            in `({0: "batch"},)`, stands for `torch.export.Dim("batch")`. None: no axis.
        example_options: arguments of the call that are given by name.

    Returns:
        The module, in the mode of the original. Its parameters, buffers and submodules have the
        names, values and `requires_grad` of the original; `state_dict` has the same keys.

    Raises:
        ArgumentError: `module` is not a module of PyTorch's, or the example does not fit it.
        CompileError: `torch.export` cannot write the module down; or Smelt cannot compute some of
            its operators, which the message names all, with the module and the line.
        DTypeError: a parameter or a buffer of a dtype that Smelt does not have.
        MissingExtra: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtra("from_torch", "torch") from None
    if not isinstance(module, torch.nn.Module):
        raise ArgumentTypeError(
            "from_torch needs a module of PyTorch's (torch.nn.Module), got "
            f"a {type(module).__name__}"
        )
    _check_modes(module)
    # loaded when it is needed: all of this room that needs PyTorch
    from smelt.export.torch.examples import as_smelt, as_torch, named_dimensions
    from smelt.export.torch.parts import fill
    from smelt.export.torch.reader import read, skeleton_of_arguments, table_of_decompositions

    inputs = tuple(map(as_torch, example_inputs))
    options = {name: as_torch(value) for name, value in (example_options or {}).items()}
    shapes = named_dimensions(dynamic_shapes)
    table = table_of_decompositions()
    programs = {
        training: _exported(module, inputs, options, shapes, training, table) for training in MODES
    }
    missing: list[Missing] = []
    modes = {training: read(program, missing) for training, program in programs.items()}
    if missing:
        raise refuse(type(module).__name__, missing)

    constants = [one.value if one.kind == "constant" else TENSOR for one in modes[False].inputs]
    arguments = Arguments(module.forward, skeleton_of_arguments(programs[False]), constants)
    kind = named(TorchModule, type(module).__name__)
    root: TorchModule = kind(
        module.extra_repr(), module.training, modes, arguments, _frozen(module)
    )
    fill(module, root)
    called = [as_smelt(value) for value in inputs]
    _try(root, called, {name: as_smelt(value) for name, value in options.items()})
    return root


def _exported(
    module: Any,
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    shapes: Any,
    training: bool,
    table: Any,
) -> ExportedProgram:
    """Returns the operators that a module calls in a mode."""
    import torch

    from smelt.export.torch.regions import detach_regions

    with _mode(module, training):
        try:
            program = torch.export.export(
                module, inputs, options, dynamic_shapes=shapes, strict=False
            )
            detach_regions(program)
            return program.run_decompositions(table)
        except Exception as error:  # of any kind: PyTorch raises many
            raise CompileError(
                f"from_torch: torch.export cannot write down {type(module).__name__} in "
                f"{MODES[training]} mode: {_first_lines(error)}"
            ) from error


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__


@contextmanager
def _mode(module: Any, training: bool) -> Iterator[None]:
    """Has a module of PyTorch's in a mode; parts that are frozen while it trains stay so."""
    before = [(part, part.training) for part in module.modules()]
    if not (training and module.training):
        module.train(training)
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode


def _check_modes(module: Any) -> None:
    """Raises ArgumentError where a part trains within a module that is evaluated."""
    for path, part in module.named_modules():
        if part.training and not module.training:
            raise ArgumentError(
                f"from_torch: {path} is in training mode within a {type(module).__name__} in "
                "evaluation mode; call eval() or train() on the whole"
            )


def _frozen(module: Any) -> frozenset[str]:
    """Returns the paths of the parts that are in evaluation mode while the whole trains."""
    if not module.training:
        return frozenset()
    parts = module.named_modules(remove_duplicate=False)
    return frozenset(path for path, part in parts if not part.training)


def _try(root: TorchModule, inputs: list[Any], options: dict[str, Any]) -> None:
    """Traces a module in both modes, which runs nothing: what Smelt refuses is known now."""
    leaves, structure = tree.flatten((inputs, options))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def called(*traced: Tensor) -> Any:  # numbers stay numbers
        rest = iter(traced)
        given = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        arguments, named = tree.unflatten(structure, given)
        return root(*arguments, **named)

    call = flatten_call(tuple(tensors), {})
    before = root.training
    try:
        for training in MODES:
            root.train(training)
            Builder(called, "from_torch").trace(call)
    finally:
        root.train(before)
