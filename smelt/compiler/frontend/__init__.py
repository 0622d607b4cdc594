"""Frontend: a Python function and the arguments of a call -> a traced graph, once per signature."""
