"""E2.e, E2.f, P2.3 and P2.4: builds and versions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib.metadata import requires, version
from operator import eq, ge, gt, le, lt

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.book.entry import Page, entry
from smelt.version import DISTRIBUTION


@entry("E2.e", "Two profiles: one to look inside, one to run")
def profiles(page: Page) -> None:
    """Cargo's release profile asks for opt-level 3, thin link-time optimization, one codegen unit.

    Smelt's counterpart is `smelt.compile`: the whole step becomes one unit, so that everything in
    it can be optimized together. The development profile is the same step run eagerly:

        with smelt.settings(compile=False):
            ...

    Then every value can be printed where it arises, which a compiled step refuses.
    """
    seen: list[float] = []

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        middle = smelt.tanh(x) * 2
        seen.append(middle.sum().item())
        return middle + 1

    x = smelt.linspace(-1.0, 1.0, 5)
    with smelt.settings(compile=False):
        developed = step(x)
    page.print(f"development: the values in the middle add up to {seen[0]:.1f}")
    try:
        step(x)
        refused = ""
    except smelt.errors.TraceError as error:
        refused = str(error)
    page.print(f"release: {refused}")
    page.claim("the development profile looks inside", 1, len(seen), len(seen) == 1)
    page.claim("the release profile says that it cannot", True, bool(refused), refused)

    released = smelt.compile(lambda x: smelt.tanh(x) * 2 + 1)(x)
    difference = (developed - released).abs().max().item()
    page.claim("largest difference of the results", "< 1e-6", difference, difference < 1e-6)


@entry("E2.f", "What a version means")
def versions(page: Page) -> None:
    """In a Cargo manifest "0.15" means any 0.15.x, "=0.15.4" one version; the lock file pins all.

    Python writes the first `==0.15.*`, the second `==0.15.4`, and a range `>=0.48,<0.51`. What
    Smelt asks for is read from its own metadata and compared with what is installed. The last of
    the rules is the book's own case: its text asks for linfa 0.4, its program for 0.7.0.
    """
    for rule, found, expected in (
        ("==0.15.*", "0.15.6", True),
        ("==0.15.*", "0.16.1", False),
        ("==0.15.4", "0.15.6", False),
        (">=0.48,<0.51", "0.50.0", True),
        ("==0.4.*", "0.7.0", False),
    ):
        allowed = allows(rule, found)
        page.claim(f"{rule} allows {found}", expected, allowed, allowed is expected)
    for name, rule in needs(DISTRIBUTION):
        page.print(f"{name}{rule}: installed {version(name)}")
        page.claim(f"installed {name}", rule, version(name), allows(rule, version(name)))


@entry("P2.3", "Development against release: time to build, time to run")
def build_and_run(page: Page) -> None:
    """(a) What to set for the fastest code; (b) what building costs, and when it has paid.

    The program is one training step of a small network with Adam.
    """
    page.answer("""
        (a) In Cargo: `opt-level = 3`, `lto = "thin"` (or "fat"), `codegen-units = 1`. In Smelt:
        `@smelt.compile` on the whole step, forward pass, gradient and optimizer together, and
        `step.repeat` or `step.over` for the loop around it. Code is made for the processor at hand,
        and kept on disk, so that the next start does not build it again.
    """)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, y = smelt.randn(32, 16), smelt.randint(0, 4, (32,))

    @smelt.compile
    def step() -> smelt.Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    with smelt.settings(compile=False):
        step()
        development = min(seconds(step) for _ in range(20))
    build = seconds(step)
    release = min(seconds(lambda: step.repeat(1000)) for _ in range(5)) / 1000
    pays = build / (development - release)
    page.table(
        ["profile", "build", "one step"],
        [
            ("development (eager)", "0 s", f"{1e6 * development:.0f} us"),
            ("release (compiled)", f"{build:.2f} s", f"{1e6 * release:.1f} us"),
        ],
    )
    ratio = development / release
    page.claim("release is faster", "> 20 times", f"{ratio:.0f} times", ratio > 20)
    page.claim("building pays after", "< 10,000 steps", f"{pays:.0f} steps", pays < 10_000)


@entry("P2.4", "Update all dependencies, and see that it worked")
def update(page: Page) -> None:
    """In Cargo: `cargo update`, then `cargo tree`. Below is the tree of what is installed here."""
    page.answer("""
        `pip install --upgrade --upgrade-strategy eager smelt-learn` updates Smelt and all that it
        needs; `pip list` shows the versions, `pip check` says whether they fit together, and
        `smelt info` prints those that matter here. `pip freeze > requirements.txt` is the lock
        file.
    """)
    tree = {name: version(name) for name, _ in needs(DISTRIBUTION)}
    page.print(f"smelt {smelt.__version__}")
    for name, found in tree.items():
        page.print(f"    {name} {found}")
    core = ["llvmlite", "numpy"]
    page.claim("all that the core needs", core, sorted(tree), sorted(tree) == core)
    fit = all(allows(rule, version(name)) for name, rule in needs(DISTRIBUTION))
    page.claim("the versions fit together", True, fit, fit)


def needs(package: str) -> list[tuple[str, str]]:
    """Returns name and rule of what a package cannot do without; extras are left out."""
    lines = [line for line in requires(package) or () if "extra ==" not in line]
    return [(re.split(r"[<>=!~ ]", line)[0], re.sub(r"^[\w.-]+", "", line)) for line in lines]


def allows(rule: str, found: str) -> bool:
    """Returns whether a version satisfies a rule such as ">=2.0,<3" or "==0.15.*"."""
    signs = {">=": ge, "<=": le, "==": eq, ">": gt, "<": lt}
    for sign, wanted in re.findall(r"(>=|<=|==|<|>)([^,]+)", rule):
        bound = release(wanted)
        numbers = release(found)
        if wanted.endswith(".*"):
            numbers = numbers[: len(bound)]
        length = max(len(numbers), len(bound))  # 2 is 2.0
        if not signs[sign](padded(numbers, length), padded(bound, length)):
            return False
    return True


def release(text: str) -> list[int]:
    """Returns the numbers of a version: "0.15.4" -> [0, 15, 4]."""
    return [int(part) for part in re.findall(r"\d+", text)]


def padded(numbers: list[int], length: int) -> list[int]:
    """Returns so many numbers, with zeros behind."""
    return numbers + [0] * (length - len(numbers))


def seconds(work: Callable[[], object]) -> float:
    """Returns how long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
