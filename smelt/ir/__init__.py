"""The two intermediate representations: the graph of a step, and the loops of a kernel."""
