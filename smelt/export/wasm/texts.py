"""What stands beside the modules of a step: JavaScript that calls them, and its types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smelt.export.wasm.modules import Placed, WasmStep
from smelt.version import __version__

__all__ = ["description", "javascript", "step_class", "types"]

# the typed array of each dtype; of 16-bit floats it has the bits
ARRAYS = {
    "bool": "Uint8Array", "int8": "Int8Array", "int32": "Int32Array", "int64": "BigInt64Array",
    "float16": "Uint16Array", "bfloat16": "Uint16Array", "float32": "Float32Array",
    "float64": "Float64Array",
}  # fmt: skip
_RESERVED = frozenset(
    "arguments await debugger delete eval finally function implements import in instanceof "
    "interface let null package super var void with yield".split()
)

_TYPES = """
/** Data failed a check of the step, which changed nothing; code is the number of the check. */
export declare class CheckError extends Error {
  readonly code: number;
}

/** A step with a state of its own: what it changes from call to call. */
export declare class Step {
  private constructor();

  /**
   * Runs one step; results are new arrays.
   *
   * Throws a TypeError or RangeError for an argument of another kind or length, a CheckError where
   * data fail a check.%(documentation)s
   */
  step(%(parameters)s): %(results)s;

  /** Returns a tensor of the state: its memory, which may be read and written. */
  tensor<Name extends keyof Tensors>(name: Name): Tensors[Name];

  /** Returns copies of all tensors of the state, by name. */
  stateDict(): Tensors;

  /**
   * Sets tensors of the state; what is not named stays as it is. Unless strict is false, a name
   * that the state has not is a RangeError.
   */
  loadStateDict(values: Record<string, TypedArray>, options?: { strict?: boolean }): void;

  /** Sets the state to what it was when the step was exported. */
  reset(): void;
}

/**
 * Loads the step.
 *
 * @param source the module: an address, its bytes, or compiled; by default the file beside this
 *   one, with SIMD where the engine has it.
 */
export declare function load(
  source?: string | URL | BufferSource | WebAssembly.Module,
): Promise<Step>;
"""


def description(step: WasmStep) -> dict[str, Any]:
    """Returns what the class Step is told of a step."""
    return {
        "name": step.name,
        "args": [_described(one) for one in step.arguments],
        "results": [_described(one) for one in step.results],
        "tensors": [_described(one) for one in step.tensors],
        "checks": list(step.checks),
    }


def step_class() -> str:
    """Returns the JavaScript of the classes Step and CheckError, and of hasSimd()."""
    return _read("step.js")


def javascript(step: WasmStep, simd: str, scalar: str) -> str:
    """Returns the ES module of a step.

    Args:
        step: the step.
        simd: the name of the file of the module with SIMD.
        scalar: that of the other.
    """
    files = {"SIMD": simd, "SCALAR": scalar}
    constants = [f"const {name} = {json.dumps(file)};" for name, file in files.items()]
    constants.append(f"const STEP = {_object(description(step))};")
    return "\n".join([_head(step), *constants, "", step_class(), _read("load.js")])


def types(step: WasmStep) -> str:
    """Returns the TypeScript types of the ES module."""
    tensors = "".join(f"  {json.dumps(one.name)}: {_typed(one)};\n" for one in step.tensors)
    arguments = [(_identifier(one.name), one) for one in step.arguments]
    documentation = "".join(f"\n   * @param {name} {_shown(one)}" for name, one in arguments)
    shown = [_shown(one) for one in step.results]
    if len(shown) > 1:
        shown = [f"{one.name}: {text}" for one, text in zip(step.results, shown, strict=True)]
    if shown:
        documentation += f"\n   * @returns {', '.join(shown)}"
    words: Mapping[str, str] = {
        "documentation": documentation and "\n   *" + documentation,
        "parameters": ", ".join(f"{name}: {_accepted(one)}" for name, one in arguments),
        "results": _results(step.results),
    }
    arrays = " | ".join(dict.fromkeys(ARRAYS.values()))
    return (
        f"{_head(step)}\nexport type TypedArray = {arrays};\n\n"
        f"/** The tensors of the state, by name. */\nexport type Tensors = {{\n{tensors}}};\n"
        f"{_TYPES % words}"
    )


def _head(step: WasmStep) -> str:
    return f"// {step.name}: made by Smelt {__version__}.\n"


def _read(file: str) -> str:
    return Path(__file__).with_name(file).read_text(encoding="utf-8")


def _described(one: Placed) -> dict[str, Any]:
    described = {"name": one.name, "dtype": one.dtype.name, "shape": list(one.shape)}
    return described | {"length": one.length, "offset": one.offset}


def _object(values: Mapping[str, Any]) -> str:
    """Returns an object as JavaScript, which may also stand in a page; of lists an item a line."""
    lines = []
    for key, value in values.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return ("{\n" + ",\n".join(lines) + "\n}").replace("<", "\\u003c")


def _results(results: Sequence[Placed]) -> str:
    if len(results) == 1:
        return _typed(results[0])
    return "{ " + " ".join(f"{json.dumps(one.name)}: {_typed(one)};" for one in results) + " }"


def _accepted(one: Placed) -> str:
    """Returns the type of an argument; a single number may be given as such."""
    number = "bigint" if one.dtype.name == "int64" else "number"
    return f"{_typed(one)} | {number}" if not one.shape else _typed(one)


def _typed(one: Placed) -> str:
    return ARRAYS[one.dtype.name]


def _shown(one: Placed) -> str:
    return f"{one.dtype.name}{list(one.shape) if one.shape else ''}"


def _identifier(name: str) -> str:
    return f"{name}_" if name in _RESERVED else name
