"""What of Smelt's public names the networks use: noted while each makes one step eagerly."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import smelt
import smelt.nn.functional as F
from networks import NETWORKS
from networks.running import built
from smelt import nn, optim, settings
from smelt.ops import REGISTRY, Op
from smelt.optim import lr_scheduler

DERIVATIVES = "grad hessian jacfwd jacrev jvp value_and_grad vjp vmap checkpoint".split()
CONTROL = "cond scan while_loop".split()
INITS = [name for name in vars(nn.init) if name.endswith("_") and not name.startswith("_")]
REASONS = {  # why a name needs no network
    "nn.Decoded": "a tuple of results; greedy_decode and beam_decode make it",
    "nn.Module": "the base class of all others",
    "nn.init": "a module; its functions are looked at one by one",
    "optim.Descent": "a tuple of results",
    "optim.Optimizer": "the base class of all others",
    "optim.gradient_descent": "stops by values in Python, so that it never is part of a step",
    "optim.lr_scheduler": "a module; its classes are looked at one by one",
    "lr_scheduler.LRScheduler": "the base class of all others",
    "op detach": "made within compiled loops only; branch-in-scan has one",
    "op shl": "no public function makes it",
}


class Noted:
    """The functions that ran, the types whose methods ran, and the primitives among them."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()
        self.types: set[type] = set()
        self.operations: set[str] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        self.codes.add(code)
        if code.co_varnames[:1] == ("self",):
            owner = frame.f_locals.get("self")
            self.types.add(type(owner))
            if isinstance(owner, Op):
                self.operations.add(getattr(owner, "name", ""))

    def has(self, thing: Any) -> bool:
        """Whether a public class or function was used."""
        if isinstance(thing, type):
            return thing in self.types
        return getattr(inspect.unwrap(thing), "__code__", None) in self.codes


def noted() -> tuple[Noted, Noted]:
    """Returns what all networks use while they are made, and what in one eager step."""
    making, running = Noted(), Noted()
    with settings(compile=False):
        for network in NETWORKS.values():
            training = watched(making, built, network)
            watched(running, network.run, smelt.compile(training.step), training.arguments, 1)
    return making, running


def watched(note: Noted, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function while every call in it is noted."""
    sys.setprofile(note)
    try:
        return function(*arguments)
    finally:
        sys.setprofile(None)


def public() -> Iterator[tuple[str, Any]]:
    """Yields each public name that a network should use, and what it stands for."""
    for prefix, module in (("nn", nn), ("F", F), ("optim", optim), ("lr_scheduler", lr_scheduler)):
        yield from ((f"{prefix}.{name}", getattr(module, name)) for name in module.__all__)
    yield from ((f"smelt.{name}", getattr(smelt, name)) for name in CONTROL + DERIVATIVES)


def report() -> tuple[list[str], list[str]]:
    """Returns how much is used, as lines, and the names that are missing without a reason."""
    making, running = noted()
    names, inits = dict(public()), {f"init.{name}": getattr(nn.init, name) for name in INITS}
    absent = [name for name, thing in names.items() if not running.has(thing)]
    absent += [name for name, thing in inits.items() if not making.has(thing)]
    absent += [f"op {name}" for name in REGISTRY if name not in running.operations]
    count = len(names) + len(inits) + len(REGISTRY)
    lines = [f"{count} names, of which {len(absent)} are in no network"]
    lines += [f"  {name}: {REASONS.get(name, 'MISSING')}" for name in absent]
    lines += [f"  {name}: has a reason, but is used" for name in REASONS if name not in absent]
    return lines, [name for name in absent if name not in REASONS]
