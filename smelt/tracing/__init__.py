"""How an operation is applied, and what is recorded of it: by an engine, and on the tape.

engine.py          Engine: who computes; the eager one, and the context that says which is current
apply.py           how an operation meets its operands, and the tape entry that it leaves behind
walk.py            the two walks over the tape: gradients backward, tangents forward
backward.py        Tensor.backward
graph_builder.py   GraphBuilder: an engine that records a graph, for a step or for a body
concretization.py  why a traced tensor has no value
"""
