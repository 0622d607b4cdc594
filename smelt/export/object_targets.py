"""What object code can be made for: architectures, their usual CPUs, and how code is called."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, replace

from smelt.compiler.codegen.apart import Passes
from smelt.compiler.codegen.machine import LEVELS, Target
from smelt.compiler.cpu import CPU, NEON, SSE
from smelt.errors import ArgumentError

__all__ = ["ObjectTarget", "object_target"]

# formats of object files that are neither ELF nor WebAssembly
_OTHERS = ("darwin", "macos", "apple", "ios", "windows", "win32", "msvc", "mingw", "cygwin", "uefi")
MICROCONTROLLERS = {  # the first part of a triple: the CPU that is usual
    "thumbv6m": "cortex-m0",
    "thumbv7m": "cortex-m3",
    "thumbv7em": "cortex-m4",
    "thumbv8m.base": "cortex-m23",
    "thumbv8m.main": "cortex-m33",
}


@dataclass(frozen=True, slots=True)
class ObjectTarget:
    """A target of object code.

    `cpu` is what passes know of it; None where plain loops are better.
    """

    target: Target
    cpu: CPU | None = None
    has_short_loops: bool = False  # whether a loop should count in 32 bits
    vectorizes: bool = False  # whether LLVM makes vectors of plain loops
    has_fma: bool = True  # False if it is known to have no fused multiply-add

    @property
    def passes(self) -> Passes:
        """What LLVM does with the code."""
        return "inline" if self.cpu is not None else "vectors" if self.vectorizes else "loops"


def object_target(
    caller: str, triple: str | None, cpu: str | None, features: str | None
) -> ObjectTarget:
    """Returns a target.

    Args:
        caller: the name of the function that the user called, for messages.
        triple: LLVM's, such as "thumbv7em-none-eabi"; None is this machine's architecture.
        cpu: LLVM's name of a CPU; None is a usual one of the architecture.
        features: LLVM's, such as "+fp16,-fpregs"; None are those of the CPU.

    Raises:
        ArgumentError: there is no code for this architecture or format.
    """
    if triple is None:
        if sys.platform != "linux":
            raise ArgumentError(f"{caller}: name a target; object files are ELF or WebAssembly")
        triple = f"{platform.machine()}-unknown-linux-gnu"
    for name, value in (("target", triple), ("cpu", cpu or ""), ("features", features or "")):
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise ArgumentError(f"{caller}: {name}={value!r} is no word of LLVM")
    for feature in (features or "").split(","):
        if feature and feature[0] not in "+-":
            raise ArgumentError(
                f"{caller}: features={features!r}: begin each feature with + or -, as in +{feature}"
            )
    architecture = triple.split("-")[0]
    if any(system in triple for system in _OTHERS):
        raise ArgumentError(
            f"{caller}: target={triple!r}: object files are ELF or WebAssembly; "
            f"choose another system, such as {architecture}-unknown-linux-gnu"
        )
    # code that a system loads may lie anywhere; a linker says where the rest lies
    relocation = "pic" if "linux" in triple or "bsd" in triple else "static"
    plain = Target(triple, cpu or "", features or "", relocation)
    if architecture in ("x86_64", "amd64"):
        return _x86_64(plain)
    if architecture in ("aarch64", "arm64"):
        return ObjectTarget(replace(plain, cpu=cpu or "generic"), NEON)
    if architecture in MICROCONTROLLERS:
        if triple.split("-")[-1] not in ("eabi", "eabihf"):
            raise ArgumentError(f"{caller}: target={triple!r}: end it with eabi or eabihf")
        return ObjectTarget(replace(plain, cpu=cpu or MICROCONTROLLERS[architecture]), None, True)
    if architecture in ("riscv32", "riscv64"):
        return _risc_v(plain, architecture == "riscv64")
    if architecture == "wasm32":
        features = "+simd128" if features is None else features
        # without fused multiply-add: so tiles pay less, and vectors of emulated ones are long
        made = replace(plain, cpu=cpu or "generic", features=features, relocation="static")
        return ObjectTarget(made, None, True, "+simd128" in features.split(","), has_fma=False)
    known = ["x86_64", "aarch64", *MICROCONTROLLERS, "riscv32", "riscv64", "wasm32"]
    raise ArgumentError(f"{caller}: target={triple!r}: begin with one of {', '.join(known)}")


def _x86_64(target: Target) -> ObjectTarget:
    """Vectors by the level that the CPU's name or the features say; those that all have else."""
    target = replace(target, cpu=target.cpu or "x86-64-v3")
    said = {target.cpu, *target.features.split(",")}
    for level, (cpu, needed) in LEVELS.items():
        if level in said or said.issuperset(needed):
            return ObjectTarget(target, cpu)
    return ObjectTarget(target, SSE)


def _risc_v(target: Target, is_wide: bool) -> ObjectTarget:
    """What Linux has on 64 bits, integers alone on 32; how floats are passed follows from it."""
    features = target.features or ("+m,+a,+f,+d,+c" if is_wide else "+m,+c")
    said = features.split(",")
    floats = "d" if "+d" in said else "f" if "+f" in said else ""
    abi = ("lp64" if is_wide else "ilp32") + floats
    cpu = target.cpu or ("generic-rv64" if is_wide else "generic-rv32")
    made = replace(target, cpu=cpu, features=features, abi=abi, model="medium")
    return ObjectTarget(made, None, not is_wide)
