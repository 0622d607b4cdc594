"""smelt info: what Smelt finds on this machine."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from smelt import __version__
from smelt.compiler.codegen import machine
from smelt.compiler.runtime import object_cache as cache
from smelt.compiler.runtime import threads as runtime
from smelt.data.digits import samples

__all__ = ["info"]

LIBRARIES = (
    "numpy", "llvmlite", "cyclopts", "jinja2", "matplotlib", "pillow", "polars", "pooch", "rich",
    "safetensors",
)  # fmt: skip
VECTORS = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "neon", "sve", "sve2")
MEGABYTE = 1 << 20


def info() -> int:
    """Print versions, CPU features, threads, and the cache of compiled code.

    Nothing leaves the machine.
    """
    for name, value in _facts():
        print(f"{name:12} {value}")
    return 0


def _facts() -> Iterator[tuple[str, str]]:
    target = machine.host()
    yield "smelt", __version__
    yield "python", f"{platform.python_version()} ({sys.executable})"
    for name in LIBRARIES:
        yield name, _version(name)
    yield "llvm", machine.llvm_version()
    yield "platform", target.triple
    yield "cpu", target.cpu
    yield (
        "features",
        ", ".join(_vector_features(target.features)) or str(machine.host_cpu()),
    )
    yield "threads", str(runtime.threads())
    yield "cache", f"{cache.place()} ({cache.size() / MEGABYTE:.1f} MB)"
    yield "samples", str(next(samples()).parent)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _vector_features(features: str) -> list[str]:
    present = {feature[1:] for feature in features.split(",") if feature.startswith("+")}
    return [name for name in VECTORS if name in present]
