"""Support: small C functions for operators that C99 lacks, or has only in its library.

A file contains each function that it uses once. Those for floats and integers are templates for
both widths, with words in capitals for what differs.
"""

from __future__ import annotations

import re

from smelt.compiler.c.support import floats, halves, integers, rounded_once
from smelt.errors import CompileError

PRELUDE = """\
#if defined(__FAST_MATH__)
#error "no -ffast-math: it changes the results; leave it out"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 2
#error "floats must be rounded to their own width: add -msse2 -mfpmath=sse"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "no-tree-loop-distribute-patterns")
#endif
#if defined(__GNUC__)
#define SUPPORT static inline __attribute__((unused)) /* where there is an instruction instead */
#define INFINITY_ __builtin_inff()
#define NAN_ __builtin_nanf("")
#else
#define SUPPORT static inline
#define INFINITY_ (1.0f / 0.0f)
#define NAN_ (0.0f / 0.0f)
#endif
"""

_NAMES = re.compile(r"\b[a-z]+[a-z0-9_]*\b(?=\()")  # of called functions


def _filled(text: str, words: dict[str, str]) -> str:
    """Returns a template with its words in capitals replaced, longer words first."""
    pattern = "|".join(sorted(words, key=len, reverse=True))
    return re.sub(pattern, lambda found: words[found.group()], text).strip("\n")


def _all() -> dict[str, str]:
    texts = {name: text.strip("\n") for name, text in (rounded_once.TEXTS | halves.TEXTS).items()}
    for short, words in floats.FORMATS.items():
        for name, text in (floats.TEXTS | rounded_once.FLOAT_TEXTS).items():
            texts[f"{name}_{short}"] = _filled(text, words)
        for integer, more in integers.INTEGERS.items():
            power = int(more["BITS"]) - 1
            both = {
                "FLOAT": words["FLOAT"], "SHORT": short, "INTNAME": integer,
                "INTBITS": f"INT{more['BITS']}", "INT": more["INT"],
                "LIMIT": f"{float(1 << power):.1f}{words['LETTER']}",
            }  # fmt: skip
            texts[f"{integer}_from_{short}"] = _filled(floats.TO_INTEGER, both)
    for short, words in integers.INTEGERS.items():
        for name, text in integers.TEXTS.items():
            texts[f"{name}_{short}"] = _filled(text, words)
    return texts


FUNCTIONS = _all()


def needed(name: str) -> list[str]:
    """Returns the name of a function after the names of all functions that it needs.

    Raises CompileError when there is no such function.
    """
    if name not in FUNCTIONS:
        raise CompileError(f"{name} has no C code")
    found: list[str] = []
    for called in dict.fromkeys(_NAMES.findall(FUNCTIONS[name])):
        if called != name and called in FUNCTIONS:
            found += [one for one in needed(called) if one not in found]
    return [*found, name]
