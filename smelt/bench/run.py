"""Run cases: all sides of each in turn, with one thread and with several; the better counts."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smelt.bench.case import GROUPS, LIMIT, Case
from smelt.bench.harness import samples
from smelt.errors import ArgumentError, NumericsError

__all__ = ["COLUMNS", "Measured", "Timing", "chosen_cases", "run"]

COLUMNS: Mapping[str, tuple[str, str]] = {  # of a table: the side, and which of its ways
    "Smelt, a call": ("smelt", "call"),
    "Smelt, repeat": ("smelt", "repeat"),
    "NumPy": ("numpy", "call"),
    "PyTorch": ("torch", "call"),
    "torch.compile": ("torch.compile", "call"),
    "JAX, a call": ("jax", "call"),
    "JAX, scan": ("jax", "scan"),
    "limit": (LIMIT, "limit"),
}
SIDE = Path(__file__).with_name("side.py")
TOLERANCE = 1e-3  # by which losses after a few steps may differ, relatively


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one way: the median, half of the measurements around it, and with how many
    threads.
    """

    median: float
    quartiles: tuple[float, float]
    threads: int

    @property
    def spread(self) -> float:
        """Half of the distance between the quartiles, as a share of the median."""
        low, high = self.quartiles
        return (high - low) / 2 / self.median


@dataclass(slots=True)
class Measured:
    """What came of a case.

    Attributes:
        case: what was measured.
        times: column -> seconds, of several numbers of threads the best.
        first: side -> seconds of the first step; the second is with what the first has left in
            caches.
        memory: side -> MiB that its process has had at most when it was ready.
        missing: side -> why it was left out.
        remarks: what a reader must know.
    """

    case: Case
    times: dict[str, Timing] = field(default_factory=dict)
    first: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def ours(self) -> float:
        """Seconds of the quickest way of Smelt; nan if there is none."""
        found = [t.median for name, t in self.times.items() if name.startswith("Smelt")]
        return min(found, default=float("nan"))


def chosen_cases(names: Sequence[str]) -> dict[str, Case]:
    """Returns cases by name.

    Args:
        names: of groups and cases; "all" are all groups.

    Raises:
        ArgumentError: there is none of a name.
    """
    everything = {name: case for cases in GROUPS.values() for name, case in cases.items()}
    chosen: dict[str, Case] = {}
    for name in names:
        if name == "all":
            chosen |= everything
        elif name in GROUPS:
            chosen |= GROUPS[name]
        elif name in everything:
            chosen[name] = everything[name]
        else:
            raise ArgumentError(
                f"bench: there is no {name!r}; there are the groups {', '.join(GROUPS)} and all, "
                f"and single cases such as {', '.join(list(GROUPS['book'])[:3])}"
            )
    return chosen


def _check_sides(cases: Mapping[str, Case], sides: Sequence[str]) -> None:
    known = list(dict.fromkeys(name for case in cases.values() for name in case.sides))
    known.remove(LIMIT)
    for side in sides:
        if side not in known:
            raise ArgumentError(
                f"bench: these cases have no side {side!r}; there are {', '.join(known)}"
            )


def run(
    cases: Mapping[str, Case],
    sides: Sequence[str] | None,
    peers: str,
    rounds: int,
    threads: Sequence[int],
) -> Iterator[tuple[str, Measured]]:
    """Yields what came of each case, when it is done.

    Args:
        cases: by name.
        sides: which sides to run; all if None.
        peers: the Python that has PyTorch and JAX.
        rounds: measurements of each side and number of threads.
        threads: numbers of threads to try.

    Raises:
        ArgumentError: none of the cases has a side of one of these names.
        NumericsError: two sides do not compute the same.
    """
    _check_sides(cases, sides or ())
    for name, case in cases.items():
        chosen = [side for side in case.sides if sides is None or side in (*sides, LIMIT)]
        yield name, _measured(name, case, chosen, peers, rounds, threads)


def _measured(
    name: str, case: Case, sides: Sequence[str], peers: str, rounds: int, threads: Sequence[int]
) -> Measured:
    result = Measured(case)
    with tempfile.TemporaryDirectory() as cache:
        environment = {"SMELT_CACHE": f"{cache}/smelt", "TORCHINDUCTOR_CACHE_DIR": f"{cache}/torch"}
        for count in threads:
            losses: dict[str, list[float]] = {}

            def listen(text: str, told: dict[str, Any], losses: Any = losses) -> None:
                side = text.partition(" of ")[0]
                if "missing" in told:
                    result.missing[side] = told["missing"]
                if "losses" in told:
                    losses[side] = told["losses"]
                    result.first.setdefault(side, []).append(told["first"])
                    result.memory[side] = max(told["memory"], result.memory.get(side, 0.0))

            names = [f"{side} of {name}" for side in sides]
            found = samples(SIDE, names, peers, rounds, count, listen, environment)
            _check_agreement(name, losses, result.remarks)
            _keep_best(result.times, found, name, count)
    return result


def _keep_best(times: dict[str, Timing], found: Mapping[str, Any], name: str, threads: int) -> None:
    for column, (side, way) in COLUMNS.items():
        seconds = found.get(f"{side} of {name}", {}).get(way)
        if seconds is None:
            continue
        median = statistics.median(seconds)
        if column not in times or median < times[column].median:
            low, _, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else (median,) * 3
            times[column] = Timing(median, (low, high), threads)


def _check_agreement(name: str, losses: Mapping[str, list[float]], remarks: list[str]) -> None:
    """Raises when two sides do not compute the same; of torch.compile it is only said."""
    expected = losses.get("smelt")
    for side, got in losses.items():
        if expected is None or _is_near(expected, got):
            continue
        remark = f"{name}: the losses of smelt and {side} differ: {expected} and {got}"
        if side != "torch.compile":
            raise NumericsError(remark)
        remarks.append(remark)


def _is_near(expected: Sequence[float], got: Sequence[float]) -> bool:
    pairs = zip(expected, got, strict=True)
    return all(abs(a - b) <= TOLERANCE * max(abs(a), abs(b)) for a, b in pairs)
