"""The bits of eighty networks after 20 training steps, to compare one machine before and after.

python benchmarks/digest.py --json before.json       # at the one commit
python benchmarks/digest.py --against before.json    # at the other: exit code 1 if a bit differs
python benchmarks/digest.py --only lenet rnn         # some; --list says which there are
python benchmarks/digest.py --coverage               # does a network use every layer, loss, ...?

Each network runs compiled with 1 and with 2 threads, eagerly (few steps where these are slow), and
in float64 where that is a reference. Of each way there are three hashes (SHA-256): of the losses of
all steps; of the parameters with buffers and the state of optimizers and generator; of the
gradients before the first step and after the last. With 1 and 2 threads they must be equal.

The error is the largest difference from the run in float64, relative to the largest element of its
array: of the parameters at the end, where training may have made it large, and of the gradients
before the first step. A line shows a hash of all hashes, the first and last loss, and both errors.
Other machines give other bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # of the eager way

import numpy as np
from networks import NETWORKS
from networks.network import STEPS
from networks.running import EXACT, PARTS, WAYS, record

from smelt.compiler.codegen import machine

WRONG = 1e-3  # errors of gradients above this are looked at beside the eager one

Record = dict[str, Any]


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NAME", help="networks")
    parser.add_argument("--list", action="store_true", help="print the names of all networks")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    parser.add_argument("--against", type=Path, help="compare with a file that --json wrote")
    parser.add_argument("--coverage", action="store_true", help="look for what no network uses")
    options = parser.parse_args()
    if options.list:
        print("\n".join(NETWORKS))
    elif options.coverage:
        coverage()
    else:
        sys.exit(run(options.only, options.json, options.against))


def coverage() -> None:
    """Prints which public names no network uses; ends with 1 if one has no reason."""
    from networks.coverage import report

    lines, missing = report()
    print("\n".join(lines))
    sys.exit(1 if missing else 0)


def run(only: list[str] | None, target: Path | None, against: Path | None) -> int:
    """Runs the networks and prints a line for each; returns the exit code."""
    before = stored(against) if against else None
    records: dict[str, Record] = {}
    good = True
    for name in only or NETWORKS:
        print(f"{name:<26}", end="", flush=True)
        records[name] = record(NETWORKS[name])
        verdict = said(records[name], threads_differ(records[name]))
        if before is not None:
            verdict = compared(before.get(name), records[name])
        good = good and not verdict.startswith("DIFFERENT")
        print(verdict, flush=True)
    for name in [] if only else before or []:
        if name not in records:
            good = False
            print(f"{name:<26}DIFFERENT: it is gone")
    if target:
        target.write_text(json.dumps({"machine": facts(), "networks": records}, indent=1) + "\n")
    return 0 if good else 1


def facts() -> dict[str, str]:
    """Returns what the bits depend on besides Smelt."""
    host = machine.host()
    versions = {"numpy": np.__version__, "llvm": machine.llvm_version()}
    return {"cpu": host.cpu, "features": host.features, "triple": host.triple} | versions


def stored(path: Path) -> dict[str, Record]:
    """Returns the networks of a file; ends where it comes from another machine."""
    content = json.loads(path.read_text())
    now = facts()
    changed = [name for name, value in now.items() if content["machine"].get(name) != value]
    if changed:
        sys.exit(
            f"{path} cannot be compared: it was made with another {', another '.join(changed)}"
        )
    return content["networks"]


def threads_differ(record: Record) -> list[str]:
    """Returns the parts that differ between 1 and 2 threads."""
    single, double = (record[way] for way in list(WAYS)[:2])
    return [kind for kind in PARTS if single[kind] != double[kind]]


def said(record: Record, differing: list[str]) -> str:
    """Returns what a line says of a network by itself."""
    if differing:
        return f"DIFFERENT with 1 and 2 threads: {', '.join(differing)}"
    problems = [f"{way}: {text}" for way, text in first_errors(record).items()]
    if problems:
        return "; ".join(problems)
    first, last = record["first and last loss"]
    errors = record["errors"]["1 thread"]
    short = hashlib.sha256(repr(hashes_of(record)).encode()).hexdigest()[:16]
    text = f"{short}   loss {first:.4g} to {last:.4g}"
    if errors["parameters"] is not None:
        text += f"   error {errors['parameters']:.1e}, gradients {errors['gradients']:.1e}"
        if errors["gradients"] > WRONG:
            text += f" (eager {record['errors']['eager']['gradients']:.1e})"
    few = record["eager steps"]
    return text if few == STEPS else f"{text}   eager {few} steps"


def hashes_of(record: Record) -> dict[str, dict[str, str]]:
    """Returns the hashes of each way."""
    return {way: record[way] for way in (*WAYS, EXACT) if way in record}


def first_errors(record: Record) -> dict[str, str]:
    """Returns the first error of each way that has one."""
    texts = {
        way: next((text for text in hashes.values() if text.startswith("error")), "")
        for way, hashes in hashes_of(record).items()
    }
    return {way: text for way, text in texts.items() if text}


def compared(before: Record | None, now: Record) -> str:
    """Returns "same", or what differs, with the errors before and after."""
    if before is None:
        return "new"
    old, new = hashes_of(before), hashes_of(now)
    ways = [way for way in {**old, **new} if old.get(way) != new.get(way)]
    changes = [change(way, before, now) for way in ways]
    differing = threads_differ(now)
    if differing:
        changes.append(f"1 and 2 threads: {', '.join(differing)}")
    if changes:
        return "DIFFERENT: " + "; ".join(changes)
    problems = first_errors(now)
    return f"same ({next(iter(problems.values()))})" if problems else "same"


def change(way: str, before: Record, now: Record) -> str:
    """Returns which parts of a way differ, and how far each was and is from float64."""
    texts = []
    for kind in PARTS:
        old, new = (record.get(way, {}).get(kind, "nothing") for record in (before, now))
        if old != new:
            was, now_is = (record["errors"].get(way, {}).get(kind) for record in (before, now))
            texts.append(f"{kind} ({shown(old, was)} -> {shown(new, now_is)})")
    return f"{way}: {', '.join(texts)}"


def shown(text: str, error: float | None) -> str:
    """Returns an error against float64, or the text of a failure."""
    if text.startswith("error") or text == "nothing":
        return text
    return "no reference" if error is None else f"{error:.2e}"


if __name__ == "__main__":
    main()
