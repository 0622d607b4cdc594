"""Automatic differentiation: reverse mode, forward mode, and functions built on them."""

from smelt.autodiff.check import gradcheck
from smelt.autodiff.checkpoint import checkpoint
from smelt.autodiff.forward import jvp
from smelt.autodiff.jacobian import hessian, jacfwd, jacrev
from smelt.autodiff.reverse import grad, value_and_grad, vjp
from smelt.autodiff.vmap import vmap
from smelt.tracing.backward import backward

__all__ = [
    "backward",
    "checkpoint",
    "grad",
    "gradcheck",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "value_and_grad",
    "vjp",
    "vmap",
]
