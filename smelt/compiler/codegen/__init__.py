"""Code generation: loop IR -> LLVM IR -> object code. llvmlite is imported in `machine.py` only."""
