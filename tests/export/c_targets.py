"""Where exported C is compiled and run: this machine's compilers, and others' CPUs under QEMU."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from smelt.export import CExport
from tests.export.c_program import SANITIZED, CProgram

_BOARD = Path(__file__).parent / "cortex_m"
_FLOATS = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


@dataclass(frozen=True)
class Target:
    """A compiler with options, and what runs its programs.

    `packages` are Debian's that are needed; `main_options` are for linking the program.
    """

    compiler: str
    options: tuple[str, ...]
    runner: tuple[str, ...] = ()
    main_options: tuple[str, ...] = ()
    packages: str = ""

    @property
    def missing(self) -> str:
        """The tool that is not there, or ""."""
        tools = (self.compiler, *self.runner[:1])
        return next((tool for tool in tools if shutil.which(tool) is None), "")

    def program(self, export: CExport) -> CProgram:
        """Compiles an exported step for this target."""
        return CProgram(export, self.compiler, self.options, self.runner, self.main_options)


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
