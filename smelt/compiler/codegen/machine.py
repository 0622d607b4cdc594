"""The machine: LLVM text to object code, object code to addresses. Only this file uses llvmlite.

    text -> parse -> passes -> object code (bytes, may be kept on disk) -> link -> Library

Linking object code runs no passes, so that code from the disk cache is ready in a millisecond. A
long text is compiled in parts (`parts.py`), on as many threads as there are cores.
"""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import byref, c_char_p, string_at
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding import ffi
from llvmlite.binding.newpassmanagers import (
    NewPassManager,
    create_new_module_pass_manager,
    create_pass_builder,
    create_pipeline_tuning_options,
)
from llvmlite.binding.orcjit import LLJIT, JITLibraryBuilder, ResourceTracker

from smelt.compiler.codegen.caches import cache_sizes
from smelt.compiler.codegen.parts import parts_of
from smelt.compiler.cpu import AVX2, AVX512, CPU, NEON, SSE
from smelt.errors import ArgumentError, CompileError

# the levels of x86-64, the widest first, and the features that identify them, by LLVM's names; the
# first is that of the vectors
LEVELS: dict[str, tuple[CPU, tuple[str, ...]]] = {
    "x86-64-v4": (AVX512, ("+avx512f", "+avx512vl")),
    "x86-64-v3": (AVX2, ("+avx2", "+fma", "+f16c")),
    "x86-64-v2": (SSE, ("+sse4.2",)),
}
RESTRICTED = "SMELT_CPU"  # names a level, to make code for older CPUs than this one
SEVERAL = b"several\0"  # begins the code of several modules; each follows, after its length
STACK_BYTES = 16 << 20  # of a thread that compiles: some systems give little
# emits object code, without llvmlite's lock; None if a version of llvmlite hides it
_EMIT = getattr(getattr(ffi.lib, "_lib_handle", None), "LLVMPY_TargetMachineEmitToMemory", None)
_ABIS = (["eabi"], ["eabihf"])
LEVEL = 2  # of optimization: 1 saves a tenth of the time, 0 makes code that is four times slower


@dataclass(frozen=True)
class Target:
    """What code is made for: LLVM's triple, the CPU's name, and its features.

    `relocation`, `model` and `abi` are LLVM's words for where code may lie, how far it reaches, and
    how it is called; by default the code may lie anywhere, and the triple says how it is called.
    """

    triple: str
    cpu: str
    features: str
    relocation: str = "pic"
    model: str = "small"
    abi: str = ""


@cache
def host() -> Target:
    """Returns this machine as a target, or the older CPU that SMELT_CPU names.

    Raises ArgumentError when it names no level, or one that this machine does not support.
    """
    triple, features = llvm.get_process_triple(), llvm.get_host_cpu_features().flatten()
    level = os.environ.get(RESTRICTED)
    if level is None:
        return Target(triple, llvm.get_host_cpu_name(), features)
    able = set(features.split(","))
    possible = [name for name, (_, needed) in LEVELS.items() if able.issuperset(needed)]
    if level not in possible:
        known = f"choose one of {', '.join(possible)}" if possible else "this CPU has no levels"
        raise ArgumentError(f"{RESTRICTED}={level}: {known}")
    return Target(triple, level, "")


@cache
def host_cpu() -> CPU:
    """Returns what passes know of this machine's CPU."""
    cpu, sizes = cpu_of(host()), cache_sizes()
    return cpu if sizes is None else replace(cpu, first_cache=sizes[0], second_cache=sizes[1])


def cpu_of(target: Target) -> CPU:
    """Returns what passes know of a target's CPU: of an unknown one, what all CPUs of its
    architecture have.
    """
    if not target.triple.startswith(("x86_64", "i386", "i686")):
        return NEON
    said = {target.cpu, *target.features.split(",")}
    for level, (cpu, (vectors, *_)) in LEVELS.items():
        if not said.isdisjoint((level, vectors)):
            return cpu
    return SSE


def llvm_version() -> str:
    """Returns the version of LLVM, such as "22.1.0"."""
    return ".".join(str(part) for part in llvm.llvm_version_info)


def fingerprint(target: Target | None = None) -> str:
    """Returns everything besides the text that object code depends on, for a cache key."""
    target = target or host()
    tools = f"llvmlite {llvmlite.__version__}, llvm {llvm_version()}, level {LEVEL}"
    return f"{tools}, {target.triple}, {target.cpu}, {target.features}"


@cache
def _start_llvm() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def _machine(target: Target) -> llvm.TargetMachine:
    return _new_machine(target)


def _in_four_words(triple: str) -> str:
    """Returns a triple as LLVM reads it: how functions are called (eabi) is the fourth word."""
    words = triple.split("-")
    return "-".join([*words[:2], "none", *words[2:]]) if words[2:] in _ABIS else triple


def _new_machine(target: Target) -> llvm.TargetMachine:
    _start_llvm()
    description = llvm.Target.from_triple(_in_four_words(target.triple))
    return description.create_target_machine(
        target.cpu,
        target.features,
        opt=LEVEL,
        reloc=target.relocation,
        codemodel=target.model,
        abiname=target.abi,
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


def optimize(module: llvm.ModuleRef, target: Target | None = None) -> llvm.ModuleRef:
    """Inlines the helpers and promotes stack slots to registers.

    That is all: vectors, tiles and the order of work are chosen before. The passes of -O2 (without
    its vectorizers) take as long as making the machine code, and gain 1 %.
    """
    builder = create_pass_builder(_machine(target or host()), create_pipeline_tuning_options(LEVEL))
    passes = create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_sroa_pass()
    passes.run(module, builder)
    NewPassManager._dispose(passes)  # closing it does nothing: ObjectRef's empty method comes first
    passes.detach()
    return module


def optimize_loops(module: llvm.ModuleRef, target: Target, vectorizes: bool) -> llvm.ModuleRef:
    """Makes plain loops quick and small, by the passes of -O2, with vectors if asked to.

    Loops are not unrolled: where the code is made for a small processor, memory is short.
    """
    options = create_pipeline_tuning_options(LEVEL)
    options.loop_vectorization = vectorizes
    options.slp_vectorization = options.loop_unrolling = False
    builder = create_pass_builder(_machine(target), options)
    passes = builder.getModulePassManager()
    passes.run(module, builder)
    return module


def compile_object(text: str, target: Target | None = None) -> bytes:
    """Returns the object code of LLVM text: of one module, or of several, one after another.

    Raises CompileError when the text is not valid.
    """
    texts = parts_of(text, cores() if _EMIT is not None else 1)
    modules = [optimize(parse(part, target), target) for part in texts]
    if len(modules) == 1:
        return _machine(target or host()).emit_object(modules[0])
    codes = _emit_side_by_side(modules, target or host())
    return SEVERAL + b"".join([len(code).to_bytes(8, "little") + code for code in codes])


def emit(module: llvm.ModuleRef, target: Target) -> bytes:
    """Returns the object code of a module after its passes."""
    return _machine(target).emit_object(module)


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _emit_side_by_side(modules: list[llvm.ModuleRef], target: Target) -> list[bytes]:
    """Returns the object code of each module, compiled on a thread of its own.

    Modules with their own contexts and target machines share nothing, but llvmlite's lock would
    admit one at a time. Here it is held around all of them, so that a fork waits. Meanwhile no
    garbage is collected: on a new thread that could free an object of llvmlite's, which would wait
    for the lock, while this thread waits for the new one.
    """
    buffers: list[Any] = [None] * len(modules)
    problems: list[Any] = [c_char_p() for _ in modules]

    def emit(number: int, module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
        assert _EMIT is not None
        buffers[number] = _EMIT(machine, module, 1, byref(problems[number]))

    with ffi.lib._lock, _no_collection():
        machines = [_new_machine(target) for _ in modules]
        before = threading.stack_size(STACK_BYTES)
        try:
            threads = [
                threading.Thread(target=emit, args=(number, *pair), daemon=True)
                for number, pair in enumerate(zip(modules, machines, strict=True))
            ]
            for thread in threads:
                thread.start()
        finally:
            threading.stack_size(before)
        for thread in threads:
            thread.join()
    codes = []
    for buffer, problem in zip(buffers, problems, strict=True):
        if not buffer:
            raise CompileError(f"LLVM cannot compile the module: {(problem.value or b'').decode()}")
        start, size = ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer)
        codes.append(string_at(start, size))
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)
    return codes


@contextmanager
def _no_collection() -> Iterator[None]:
    """Within the block Python collects no garbage, unless it is told to."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _objects(code: bytes) -> list[bytes]:
    """Returns the object code of each module in what `compile_object` returned."""
    if not code.startswith(SEVERAL):
        return [code]
    objects, at = [], len(SEVERAL)
    while at < len(code):
        size = int.from_bytes(code[at : at + 8], "little")
        objects.append(code[at + 8 : at + 8 + size])
        at += 8 + size
    return objects


def assembly(text: str, target: Target | None = None) -> str:
    """Returns the machine code of LLVM text, as assembly."""
    module = optimize(parse(text, target), target)
    return _machine(target or host()).emit_assembly(module)


class Library:
    """Linked object code. Its addresses are valid as long as this object lives."""

    def __init__(self, tracker: ResourceTracker, linker: LLJIT) -> None:
        self._tracker = tracker
        # the code is freed before its linker; at exit neither is, since threads may still run it
        weakref.finalize(self, _release, tracker, linker).atexit = False

    def __getitem__(self, symbol: str) -> int:
        return int(self._tracker[symbol])


def _release(tracker: ResourceTracker, linker: LLJIT) -> None:
    tracker.close()
    linker.close()


def load_object(
    code: bytes, exports: tuple[str, ...], imports: Mapping[str, int] | None = None
) -> Library:
    """Returns object code linked into this process.

    `exports` are the functions whose addresses are wanted, `imports` the addresses of functions
    that the code calls and that are not part of the process's C library.

    Raises CompileError when a name is missing.
    """
    builder = JITLibraryBuilder().add_current_process()
    for part in _objects(code):
        builder.add_object_img(part)
    for name, address in (imports or {}).items():
        builder.import_symbol(name, address)
    for name in exports:
        builder.export_symbol(name)
    # A linker for each object costs half a millisecond, and leaves nothing behind when it is freed.
    # JITLink puts code and constants next to each other. LLVM's older linker allocates them apart;
    # if they are 2 GB apart, as in a process with much data, it aborts the process.
    linker = llvm.create_lljit_compiler(_machine(host()), use_jit_link=True)
    try:
        tracker = builder.link(linker, "smelt")
    except RuntimeError as problem:
        raise CompileError(f"the machine code cannot be linked: {problem}") from problem
    return Library(tracker, linker)


def _leave_llvm() -> None:
    ffi.lib._lock.__exit__(None, None, None)


# every call of LLVM holds this lock: a fork waits for its end, so that the child may use LLVM too
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=ffi.lib._lock.__enter__, after_in_parent=_leave_llvm, after_in_child=_leave_llvm
    )
