"""The compiler: a training step in Python becomes one native function.

Each folder is a stage, and its `__init__` says what goes in and what comes out. In order:

    frontend/   a Python function and the arguments of a call -> a traced graph
    graph/      a graph -> a simpler graph, its nodes in groups, its values placed in memory
    lower/      groups -> kernels of plain loops (the loop IR, `smelt/ir/loops.py`)
    loops/      plain loops -> loops with vectors, tiles and threads
    codegen/    loop IR -> LLVM IR -> object code
    runtime/    object code -> a function that Python calls, its memory, threads and cache
    report/     what `explain()` prints

`pipeline.py` lists the passes from graph to loops; `artifacts.py` defines what stages hand over.
"""

from smelt.compiler.frontend.step import CompiledStep, compile

__all__ = ["CompiledStep", "compile"]
