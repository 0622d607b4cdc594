"""Where exported C and object code are run: this machine, and others' CPUs under QEMU."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smelt import export
from smelt_runtime.processor import features
from tests.export.c_program import SANITIZED, CProgram, Export

_BOARD = Path(__file__).parent / "cortex_m"
_FLOATS = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


@dataclass(frozen=True)
class Target:
    """A compiler with options, and what runs its programs.

    `packages` are Debian's that are needed; `main_options` are for linking the program. With a
    `triple` the step is no C but object code, for a `cpu` that `needs` what Linux calls so.
    """

    compiler: str
    options: tuple[str, ...]
    runner: tuple[str, ...] = ()
    main_options: tuple[str, ...] = ()
    packages: str = ""
    triple: str = ""
    cpu: str | None = None
    needs: str = ""

    @property
    def missing(self) -> str:
        """The tool that is not there, or ""."""
        tools = (self.compiler, *self.runner[:1])
        if self.needs and not (platform.machine() == "x86_64" and self.needs in features()):
            return f"a CPU with {self.needs}"
        return next((tool for tool in tools if shutil.which(tool) is None), "")

    @property
    def remedy(self) -> str:
        """The command that installs what is missing."""
        return f"apt-get install {self.packages}"

    def export(self, step: Callable[..., Any], folder: str | Path, *inputs: Any, name: str) -> Any:
        """Exports a step, as C or as object code."""
        if not self.triple:
            return export.to_c(step, folder, *inputs, name=name)
        path = Path(folder) / f"{name}.o"
        return export.to_object(step, path, *inputs, target=self.triple, cpu=self.cpu)

    def program(self, made: Export) -> CProgram:
        """Compiles an exported step for this target."""
        return CProgram(made, self.compiler, self.options, self.runner, self.main_options)


TARGETS = {
    "gcc sanitized": Target("gcc", SANITIZED, packages="gcc"),
    "gcc": Target("gcc", ("-O2",), packages="gcc"),
    "gcc for this CPU": Target(
        "gcc", ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"), packages="gcc"
    ),
    "clang": Target("clang", ("-O2",), packages="clang"),
    "clang sanitized": Target("clang", SANITIZED, packages="clang"),
    "aarch64": Target(
        "aarch64-linux-gnu-gcc", ("-O2", "-static"), ("qemu-aarch64",),
        packages="gcc-aarch64-linux-gnu qemu-user",
    ),
    "riscv64": Target(
        "riscv64-linux-gnu-gcc", ("-O2", "-static"), ("qemu-riscv64",),
        packages="gcc-riscv64-linux-gnu qemu-user",
    ),
    "thumbv7em": Target(
        "arm-none-eabi-gcc",
        ("-O2", "-mcpu=cortex-m4", "-mthumb", *_FLOATS),
        (
            "qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial",
            "none", "-semihosting-config", "enable=on,target=native", "-kernel",
        ),
        ("--specs=rdimon.specs", "-T", str(_BOARD / "mps2.ld"), str(_BOARD / "startup.c")),
        packages="gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    ),
}  # fmt: skip


def _object(name: str, triple: str, cpu: str | None = None, needs: str = "") -> Target:
    return replace(TARGETS[name], triple=triple, cpu=cpu, needs=needs)


_LINUX = "x86_64-unknown-linux-gnu"
OBJECTS = {
    "x86-64": _object("gcc", _LINUX, "x86-64", "sse2"),
    "x86-64-v2": _object("gcc", _LINUX, "x86-64-v2", "sse4_2"),
    "x86-64-v3": _object("gcc", _LINUX, "x86-64-v3", "avx2"),
    "x86-64-v4": _object("gcc", _LINUX, "x86-64-v4", "avx512vl"),
    "aarch64": _object("aarch64", "aarch64-unknown-linux-gnu"),
    "riscv64": _object("riscv64", "riscv64-unknown-linux-gnu"),
    "thumbv7em": _object("thumbv7em", "thumbv7em-none-eabihf"),
    # a Cortex-M4 runs what a Cortex-M0 runs
    "thumbv6m": replace(
        _object("thumbv7em", "thumbv6m-none-eabi"), options=("-O2", "-mcpu=cortex-m0", "-mthumb")
    ),
}
SAME_AS_C = ("riscv64", "thumbv7em", "thumbv6m")  # whose results have the bits of the C code
