"""Object code made in a process of its own, for any CPU that LLVM knows.

LLVM ends the process when it meets something that a target has no code for. So `compile_apart`
starts a second Python, which reads LLVM text and writes object code; if that ends, what LLVM said
last is the error here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from smelt.compiler.codegen import machine
from smelt.compiler.codegen.machine import Target
from smelt.errors import ArgumentError, CompileError

Passes = Literal["inline", "loops", "vectors"]
ROOT = Path(__file__).parents[3]  # where the package lies
REFUSED = 3  # the exit code of a process that has said what is wrong
LAST_LINES = 4  # of what LLVM says that an error shows
_UNKNOWN = re.compile(r"'([^']*)' is not a recognized (feature|processor) for this target")


def compile_apart(text: str, target: Target, passes: Passes) -> bytes:
    """Returns the object code of LLVM text, made in another process.

    Args:
        text: of one module.
        target: what the code is for.
        passes: what LLVM does with it: "inline", which is enough for code that has vectors, "loops"
            for plain loops, or "vectors" for plain loops of which it should make vectors.

    Raises:
        ArgumentError: LLVM knows no such processor or feature.
        ConstructError: LLVM has no code for something, or does not take the text.
        CompileError: this process knows no Python to start.
    """
    if not sys.executable:
        raise CompileError("object code is made by a second Python, and this one has no program")
    order = json.dumps({"target": asdict(target), "passes": passes})
    # the child must find this package, and not a folder of its name where the user works
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=f"{order}\n{text}".encode(),
        capture_output=True,
        check=False,
        env=environment,
    )
    said = done.stderr.decode(errors="replace")
    unknown = _UNKNOWN.search(said)
    if unknown is not None:
        kind = "CPU" if unknown[2] == "processor" else "feature"
        raise ArgumentError(f"LLVM knows no {kind} {unknown[1]!r} of {target.triple}")
    if done.returncode == 0 and done.stdout:
        return done.stdout
    raise _failure(target, said, done.returncode)


class ConstructError(CompileError):
    """LLVM has no code for something; the message has its last words."""


def _failure(target: Target, said: str, code: int) -> ConstructError:
    lines = [line for line in said.strip().splitlines() if not line.startswith(("#", "Stack dump"))]
    words = "\n  ".join(lines[-LAST_LINES:]) or f"it ended with code {code}"
    return ConstructError(f"LLVM made no code for {target.triple}, {target.cpu}:\n  {words}")


def main() -> int:
    """Reads a line of settings and LLVM text, and writes object code; returns the exit code."""
    order, _, text = sys.stdin.buffer.read().decode().partition("\n")
    settings = json.loads(order)
    target = Target(**settings["target"])
    try:
        module = machine.parse(text, target)
        if settings["passes"] == "inline":
            module = machine.optimize(module, target)
        else:
            module = machine.optimize_loops(module, target, settings["passes"] == "vectors")
        code = machine.emit(module, target)
    except (CompileError, RuntimeError) as error:
        print(getattr(error, "message", error), file=sys.stderr)
        return REFUSED
    sys.stdout.buffer.write(code)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
