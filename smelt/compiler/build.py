"""Build: from a traced graph to machine code. Importing this module loads LLVM."""

from smelt.compiler.native import build
from smelt.compiler.passes import run_passes

__all__ = ["build", "run_passes"]
