"""The message passing interface, as far as Smelt uses it: one process group, found by mpi4py.

`launch` says whether a launcher such as mpiexec started this process, `group` holds the group of
all ranks and its eager collectives, `native` the addresses that machine code calls, `agreement`
what ranks must have in common, `ending` how a rank that ends takes the others along.
"""
