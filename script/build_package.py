"""Builds wheel and sdist, checks them, and uses the wheel in a bare environment of each Python.

    python script/build_package.py [PYTHON ...]

In each environment there is nothing but the wheel and what it needs. `smelt train digits` runs
there, and the accuracy on the digits is looked at. Without arguments every Python from 3.11 on is
taken that lies on PATH or that pyenv has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
NAMES = ("python3.11", "python3.12", "python3.13", "python3.14", "python3.14t")
OLDEST = (3, 11)
SAYS = (
    "import sys, sysconfig;"
    "print(*sys.version_info[:3], int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))"
)
IGNORED = ("PYTHON", "SMELT", "VIRTUAL_ENV")  # variables that would reach into the environment
EXTRAS = (
    "cli,files,plot"  # of `smelt train`: the command, and what it keeps weights and figures with
)
STEP = "import smelt; assert smelt.compile(lambda x: x * 2)(smelt.ones(3)).tolist() == [2, 2, 2]"
WORST = 0.9  # accuracy of the digits, below which the training has gone wrong


def run(command: Sequence[str | Path], **options: Any) -> str:
    """Runs a command; returns what it printed. If it fails, its output and its name are shown."""
    found = subprocess.run(
        [str(part) for part in command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )
    if found.returncode:
        sys.exit(f"{found.stdout}\nscript/package: failed: {' '.join(map(str, command))}")
    return str(found.stdout)


def built() -> tuple[Path, Path]:
    """Builds from a copy of what git knows, so that nothing else slips in; returns both files."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        listed = run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT
        )
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        run([sys.executable, "-m", "build", "--outdir", DIST, folder])
    run([sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir()])
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    return wheel, sdist


def pythons(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields version and path of each Python that can be used, every version once."""
    names = given or [*NAMES, *(str(path) for path in sorted(_pyenv()))]
    seen = set()
    for name in names:
        found = (
            subprocess.run([name, "-c", SAYS], capture_output=True, text=True)
            if shutil.which(name)
            else None
        )
        if found is None or found.returncode:
            if given:
                sys.exit(f"script/package: {name} is no Python that runs")
            continue
        major, minor, micro, threaded = map(int, found.stdout.split())
        version = f"{major}.{minor}.{micro}{'t' * threaded}"
        if (major, minor) >= OLDEST and (major, minor, threaded) not in seen:
            seen.add((major, minor, threaded))
            yield version, name


def _pyenv() -> Iterator[Path]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from root.glob("versions/*/bin/python")


def tried(python: str, wheel: Path, folder: Path) -> str:
    """Installs the wheel, first alone and then with extras; trains, and returns what came of it."""
    run([python, "-m", "venv", folder / "environment"])
    inside = folder / "environment" / "bin"
    kept = {name: held for name, held in os.environ.items() if not name.startswith(IGNORED)}
    clean = kept | {"SMELT_CACHE": str(folder / "cache")}
    install = [inside / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*install, wheel], env=clean)
    run([inside / "python", "-W", "error", "-c", STEP], cwd=folder, env=clean)
    run([*install, f"{wheel}[{EXTRAS}]"], env=clean)
    run([inside / "smelt", "info"], cwd=folder, env=clean)
    start = time.perf_counter()
    run([inside / "smelt", "train", "digits", "--out", folder / "run"], cwd=folder, env=clean)
    seconds = time.perf_counter() - start
    figures = json.loads((folder / "run" / "result.json").read_text("utf-8"))
    accuracy = figures["test_accuracy"]
    if not accuracy > WORST:
        sys.exit(f"script/package: {python}: the digits reach an accuracy of {accuracy} only")
    return f"a step alone; smelt train digits in {seconds:.0f} s, accuracy {accuracy:.3f}"


def main(given: Sequence[str]) -> None:
    """Builds, checks, tries, and says all sizes."""
    wheel, sdist = built()
    for path in (wheel, sdist):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.2f} MB, checked")
    count = 0
    for version, python in pythons(given):
        with tempfile.TemporaryDirectory() as folder:
            print(f"Python {version}: {tried(python, wheel, Path(folder))}", flush=True)
        count += 1
    if not count:
        sys.exit("script/package: no Python from 3.11 on was found; name one")


if __name__ == "__main__":
    main(sys.argv[1:])
