"""How an operation is applied, and what is recorded of it: by an engine, and on the tape.

engine.py          Engine: what computes; the eager one, and the context with the current one
apply.py           applying an operation to its operands, and the tape entry of the result
walk.py            the two walks over the tape: gradients backward, tangents forward
backward.py        Tensor.backward
graph_builder.py   GraphBuilder: an engine that records a graph, for a step or for a body
concretization.py  why a traced tensor has no value
"""
