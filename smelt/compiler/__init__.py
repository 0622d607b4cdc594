"""The compiler: a training step in Python becomes one native function.

A folder is a stage; each `__init__` says what goes in and what comes out. In order:

    frontend/   a Python function and the arguments of a call -> a traced graph
    graph/      a graph -> a simpler one, its nodes in groups, each value in a place
    lower/      groups -> kernels of plain loops (the loop IR, `smelt/ir/loops.py`)
    loops/      plain loops -> loops with vectors, tiles and threads
    codegen/    loop IR -> LLVM IR -> object code
    runtime/    object code -> a function that Python calls, its memory, threads and cache
    report/     what `explain()` prints

`pipeline.py` lists the passes from graph to loops, `artifacts.py` what stages hand to each other.
"""

from smelt.compiler.frontend.step import CompiledStep, compile

__all__ = ["CompiledStep", "compile"]
