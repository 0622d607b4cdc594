"""The table of recipes: each in a process of its own, with several seeds; figures, times, memory.

python benchmarks/recipes.py --data FOLDER                  # all of them, which takes its time
python benchmarks/recipes.py --data FOLDER mnist titanic    # some
python benchmarks/recipes.py --write docs/recipes.md        # puts what was stored into the page

Results are stored in a folder as they come (--out), so that what was interrupted goes on.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smelt.bench.process import run_process
from smelt.recipes import RECIPES

BEGIN, END = "<!-- printed by benchmarks/recipes.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """A recipe with some settings, the figure that counts, and what it must be."""

    recipe: str
    options: tuple[str, ...]
    figure: str
    target: str = ""  # such as ">= 0.993", or ">= another_figure"; "": there is none
    seeds: int = 1

    @property
    def name(self) -> str:
        """The recipe and the settings that are not its defaults."""
        return " ".join((self.recipe, *(option.removeprefix("--") for option in self.options)))

    @property
    def reads(self) -> bool:
        """Whether it reads data from elsewhere."""
        return "data" in inspect.signature(RECIPES[self.recipe]).parameters

    def is_reached(self, results: Sequence[dict[str, Any]]) -> bool:
        """Returns whether the mean over the seeds is what it must be."""
        comparison, limit = self.target.split()
        mean = statistics.mean(result[self.figure] for result in results)
        other = statistics.mean(result.get(limit) or float(limit) for result in results)
        return mean >= other if comparison == ">=" else mean <= other


ROWS = (
    Row("digits", (), "test_accuracy", ">= 0.97", seeds=3),
    Row("mnist", (), "test_accuracy", ">= 0.993", seeds=3),
    Row("fashion", (), "test_accuracy", ">= 0.925"),
    Row("cats", (), "test_accuracy", ">= 0.85", seeds=5),
    Row("shakespeare", (), "held_out_loss", "<= 1.88"),
    Row("sentiment", (), "test_accuracy", ">= 0.8", seeds=3),
    Row("translate", ("--model", "transformer"), "test_bleu", ">= 50"),
    Row("translate", ("--model", "lstm"), "test_bleu", ">= 50"),
    Row("housing", (), "test_rmse_in_dollars", "<= test_rmse_of_linear_regression", seeds=3),
    Row("titanic", (), "cross_validated_accuracy", ">= 0.8", seeds=3),
    Row("stock", (), "ratio"),
    Row("denoise", ("--model", "vae"), "test_bound_nats", ">= independent_pixels_nats"),
    Row("denoise", ("--model", "gan"), "accuracy_on_real_of_a_judge_of_drawn"),
    Row("keywords", (), "test_accuracy", ">= 0.95", seeds=3),
    Row("sensors", (), "test_accuracy", ">= 0.95", seeds=3),
    Row("policy", ("--method", "reinforce"), "test_return", ">= 475", seeds=3),
    Row("policy", ("--method", "actor-critic"), "test_return", ">= 475", seeds=3),
    Row("equations", ("--equation", "burgers"), "relative_error", "<= 1e-3"),
    Row("equations", ("--equation", "poisson"), "relative_error", "<= 1e-4"),
)


def measured(row: Row, seed: int, data: str | None, out: Path) -> dict[str, Any]:
    """Returns the result of one run, from the store if it is there."""
    folder = out / f"{row.name.replace(' ', '-')}-{seed}"
    store = folder.with_suffix(".json")
    if store.exists():
        return json.loads(store.read_text())
    given = ("--data", data) if data and row.reads else ()
    command = (sys.executable, "-m", "smelt", "train", row.recipe, *row.options, *given)
    took = run_process([*command, "--seed", str(seed), "--out", str(folder)])
    result = json.loads((folder / "result.json").read_text()) | {
        "seconds": took.seconds,
        "cpu": took.cpu,
        "mebibytes": took.mebibytes,
    }
    store.write_text(json.dumps(result, indent=1))
    return result


def line(row: Row, results: Sequence[dict[str, Any]]) -> str:
    """Returns a row of the table: means over the seeds."""
    values = [result[row.figure] for result in results]
    mean = statistics.mean(values)
    spread = f" +- {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    reached = "" if not row.target else "yes" if row.is_reached(results) else "**no**"
    seconds, cpu, memory = (
        statistics.mean(result[name] for result in results)
        for name in ("seconds", "cpu", "mebibytes")
    )
    digits = max(4, 1 - math.floor(math.log10(abs(mean)))) if 0 < abs(mean) < 1e-2 else 4
    figure = f"{row.figure.replace('_', ' ')} {mean:.{digits}g}{spread}"
    wanted = row.target.replace("_", " ")
    return (
        f"| {row.name} | {figure} | {wanted} | {reached} | {len(values)} | {seconds:.0f} | "
        f"{cpu:.0f} | {memory:.0f} |"
    )


def table(rows: Sequence[Row], data: str | None, out: Path) -> str:
    """Returns the table, running what is not stored."""
    lines = [
        "| recipe | figure, mean over seeds | wanted | reached | seeds | seconds | CPU | MiB |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(line(row, [measured(row, seed, data, out) for seed in range(row.seeds)]))
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Prints the table, or writes it between the marks of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", help="names of recipes (default: all)")
    parser.add_argument("--data", help="the folder above those of the data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"), help="where results are")
    parser.add_argument("--write", type=Path, help="a page that holds the marks of the table")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [row for row in ROWS if not options.recipes or row.recipe in options.recipes]
    made = table(rows, options.data, options.out)
    if options.write:
        before, _, rest = options.write.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        options.write.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}")


if __name__ == "__main__":
    main()
