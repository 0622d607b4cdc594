"""The machine: LLVM text to object code, object code to addresses. All of llvmlite is used here.

    text -> parse -> passes -> object code (bytes, may be kept on disk) -> link -> Library -> addresses

Linking object code runs no passes, so that code from the disk cache is ready in a millisecond.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import create_pass_builder, create_pipeline_tuning_options
from llvmlite.binding.orcjit import LLJIT, JITLibraryBuilder, ResourceTracker

from smelt.errors import CompileError

LEVEL = 2


@dataclass(frozen=True)
class Target:
    """What code is made for: LLVM's triple, the CPU's name, and its features."""

    triple: str
    cpu: str
    features: str


@cache
def host() -> Target:
    """Returns this machine as a target."""
    features = llvm.get_host_cpu_features().flatten()
    return Target(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)


def fingerprint(target: Target | None = None) -> str:
    """Returns everything besides the text that object code depends on, for the key of a cache."""
    target = target or host()
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    tools = f"llvmlite {llvmlite.__version__}, llvm {version}, O{LEVEL}"
    return f"{tools}, {target.triple}, {target.cpu}, {target.features}"


@cache
def _start_llvm() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def _machine(target: Target) -> llvm.TargetMachine:
    _start_llvm()
    description = llvm.Target.from_triple(target.triple)
    return description.create_target_machine(
        target.cpu, target.features, opt=LEVEL, reloc="pic", codemodel="small"
    )


def parse(text: str, target: Target | None = None) -> llvm.ModuleRef:
    """Returns LLVM text as a verified module for the target.

    Raises CompileError with LLVM's words when the text is not valid.
    """
    machine = _machine(target or host())
    try:
        module = llvm.parse_assembly(text, llvm.create_context())
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as problem:
        raise CompileError(f"LLVM does not accept the module: {problem}") from problem
    return module


def optimise(module: llvm.ModuleRef, target: Target | None = None) -> llvm.ModuleRef:
    """Runs the passes of -O2 without LLVM's vectorisers: vectors are the scheduler's to choose."""
    options = create_pipeline_tuning_options(LEVEL)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_interleaving = False
    options.loop_unrolling = False
    builder = create_pass_builder(_machine(target or host()), options)
    builder.getModulePassManager().run(module, builder)
    return module


def compile_object(text: str, target: Target | None = None) -> bytes:
    """Returns the object code of LLVM text.

    Raises CompileError when the text is not valid.
    """
    module = optimise(parse(text, target), target)
    return _machine(target or host()).emit_object(module)


def assembly(text: str, target: Target | None = None) -> str:
    """Returns the machine code of LLVM text as a person reads it."""
    module = optimise(parse(text, target), target)
    return _machine(target or host()).emit_assembly(module)


class Library:
    """Linked object code. Its addresses hold for as long as this object lives."""

    def __init__(self, tracker: ResourceTracker) -> None:
        self._tracker = tracker

    def __getitem__(self, symbol: str) -> int:
        return int(self._tracker[symbol])


_numbers = itertools.count()


@cache
def _linker() -> LLJIT:
    return llvm.create_lljit_compiler(_machine(host()))


def load_object(
    code: bytes, exports: tuple[str, ...], imports: Mapping[str, int] | None = None
) -> Library:
    """Returns object code linked into this process.

    `exports` are the functions whose addresses are wanted, `imports` the addresses of functions that
    the code calls and that are not part of the process's C library.

    Raises CompileError when a name is missing.
    """
    builder = JITLibraryBuilder().add_object_img(code).add_current_process()
    for name, address in (imports or {}).items():
        builder.import_symbol(name, address)
    for name in exports:
        builder.export_symbol(name)
    try:
        tracker = builder.link(_linker(), f"smelt.{next(_numbers)}")
    except RuntimeError as problem:
        raise CompileError(f"the machine code cannot be linked: {problem}") from problem
    return Library(tracker)
