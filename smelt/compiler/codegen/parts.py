"""A module's text in parts, which are compiled in parallel and linked together.

Each part contains what kernels share: declarations, and helpers that are inlined. Each kernel is in
one part, with the function by which the thread pool calls it. Its linkage is external instead of
internal, so that the step, in the first part, can call it. Its visibility is not hidden: a hidden
function is found by its distance, and parts may be linked more than 2 GB apart.
"""

from __future__ import annotations

import re

LONG = 60_000  # characters of a part, at least: about a tenth of a second
_KERNEL = re.compile(r'define internal void (@"[^"\n]+")\(([^\n]*)\) [^\n]*noinline')
_JOB = re.compile(r'define internal void (@"[^"\n]+\.job")\(([^\n]*)\) nounwind')


def parts_of(text: str, most: int) -> list[str]:
    """Returns a module as the texts of at most `most` modules; a short one stays whole.

    `text` is as `Module` writes it: blocks separated by blank lines, the declarations first, then
    one block for each function.
    """
    count = min(most, len(text) // LONG)
    if count < 2:
        return [text]
    common, *functions = text.rstrip("\n").split("\n\n")
    shared, rest = [common], list[str]()
    kernels: dict[str, list[str]] = {}  # by the names of kernels, with their jobs
    declarations: list[str] = []
    for function in functions:
        found = _KERNEL.match(function) or _JOB.match(function)
        if found is not None:
            declarations.append(_declaration(found))
            external = function.replace("define internal", "define", 1)
            kernels.setdefault(found[1].removesuffix('.job"').rstrip('"'), []).append(external)
        elif function.startswith("define internal"):
            shared.append(function)
        else:
            rest.append(function)
    bins: list[list[str]] = [[] for _ in range(count)]
    sizes = [sum(map(len, rest)), *[0] * (count - 1)]
    for texts in sorted(kernels.values(), key=lambda texts: -sum(map(len, texts))):
        smallest = sizes.index(min(sizes))
        bins[smallest] += texts
        sizes[smallest] += sum(map(len, texts))
    own = [line for line in declarations if not any(_is_in(line, text) for text in bins[0])]
    bins[0] += ["\n".join(own), *rest]
    return ["\n\n".join([*shared, *functions]) + "\n" for functions in bins if functions]


def _declaration(found: re.Match[str]) -> str:
    types = ", ".join(parameter.split()[0] for parameter in found[2].split(", ") if parameter)
    return f"declare void {found[1]}({types})"


def _is_in(declaration: str, function: str) -> bool:
    """Whether a function is the one that is declared."""
    return function.startswith(declaration.replace("declare", "define", 1).partition("(")[0] + "(")
