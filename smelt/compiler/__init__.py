"""The compiler: a training step in Python becomes one native function.

A step passes through these files, in this order:

    step.py        `smelt.compile`: call, repeat, over, explain
    versions.py    which version of a step a call needs; making it
    batches.py     which rows each step of `over` gets
    trace.py       the function, run once on placeholders, becomes a graph
    simplify.py    graph -> graph that computes the same with fewer nodes
    store.py       which nodes get memory of their own
    order.py       in which order, so that states are overwritten last
    fuse.py        nodes that can share a loop become groups
    plan.py        a place in memory for each value, the arena
    lower.py       groups -> kernels of plain loops (the loop IR); large convolutions as products
    schedule/      kernels -> kernels with vectors, tiles and parallel loops
    approximate/   exp, log, tanh, ... as loop-IR arithmetic
    llvm.py        kernels -> LLVM
    machine.py     LLVM -> machine code; cache.py keeps it on disk
    native.py      machine code -> a function that Python calls; runtime.py keeps its threads warm
    specialise.py  binds the function to the step's tensors and runs it
"""

from smelt.compiler.step import CompiledStep, compile

__all__ = ["CompiledStep", "compile"]
