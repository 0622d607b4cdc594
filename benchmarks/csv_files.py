"""A CSV file of 5 million rows by 5 columns, read and scaled: seconds, and the most memory held.

    python benchmarks/csv_files.py --peers /path/to/python/with/pandas

Each reading is a process of its own, so that its peak of memory is its own; sides take turns. Sides
whose library is missing are named. `--rows` makes a smaller file.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ["height", "weight", "age", "speed", "count"]


def smelt(path: str) -> float:
    from smelt.data import StandardScaler, read_csv

    x = StandardScaler().fit_transform(read_csv(path))
    return sum(float(x[name][-1]) for name in x.names)


def smelt_stream(path: str) -> float:
    from smelt.data import CSVDataset, StandardScaler

    rows, scale = CSVDataset(path, 1 << 17), StandardScaler()
    for table in rows:
        scale.partial_fit(table)
    for table in rows:
        x = scale.transform(table)
    return sum(float(x[name][-1]) for name in x.names)


def polars(path: str) -> float:
    import polars

    frame = polars.read_csv(path)
    x = frame.select((polars.all() - polars.all().mean()) / polars.all().std(ddof=0))
    return sum(x.row(-1))


def pandas(path: str) -> float:
    import pandas

    frame = pandas.read_csv(path)
    x = (frame - frame.mean()) / frame.std(ddof=0)
    return float(x.iloc[-1].sum())


SIDES: dict[str, Callable[[str], float]] = {
    "smelt": smelt,
    "smelt, streamed": smelt_stream,
    "polars": polars,
    "pandas": pandas,
}


def write(path: Path, rows: int) -> None:
    chance = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            values = chance.normal(50, 20, (count, 4)).round(4).tolist()
            whole = chance.integers(0, 1000, count).tolist()
            file.writelines(
                f"{a},{b},{c},{d},{n}\n" for (a, b, c, d), n in zip(values, whole, strict=True)
            )


def measured(side: str, path: str) -> None:
    """Prints what one reading took, as JSON."""
    try:
        SIDES[side](path + ".first")  # loads the libraries
        before = time.perf_counter()
        result = SIDES[side](path)
        seconds = time.perf_counter() - before
    except ImportError as missing:
        print(json.dumps({"missing": str(missing)}))
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "result": result}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has pandas")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measured(*options.side)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write(path, options.rows)
        write(Path(f"{path}.first"), 1000)
        size = path.stat().st_size / 2**20
        print(f"{options.rows:,} rows by {len(COLUMNS)} columns, {size:.0f} MiB")
        compare(options.peers, str(path), options.rounds)


def compare(peers: str, path: str, rounds: int) -> None:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, results in found.items():
            command = [peers, __file__, "--side", side, path]
            environment = {
                "PYTHONPATH": str(ROOT),
                "PATH": "/usr/bin:/bin",
                "HOME": str(Path.home()),
            }
            output = subprocess.run(
                command, capture_output=True, text=True, check=True, env=environment
            ).stdout
            results.append(json.loads(output))
    print(f"{'':18}{'seconds':>10}{'peak, MiB':>12}")
    for side, results in found.items():
        if "missing" in results[0]:
            print(f"{side:18}{results[0]['missing']:>22}")
            continue
        seconds = statistics.median(result["seconds"] for result in results)
        peak = statistics.median(result["peak"] for result in results)
        print(f"{side:18}{seconds:10.2f}{peak:12.0f}")
    totals = [r["result"] for results in found.values() for r in results if "result" in r]
    assert max(totals) - min(totals) < 1e-6, totals


if __name__ == "__main__":
    main()
