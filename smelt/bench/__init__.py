"""Smelt beside PyTorch, JAX and NumPy: the same training steps and products, timed in one run.

A peer may live in a Python of its own, where Smelt is not installed: there the modules of this
package are imported without Smelt (`harness.py`). So none of them imports anything of Smelt at its
top but its neighbors here.
"""
