"""Fails when the house leaks: a circle of imports, an import that runs upward, a compared name.

    python script/check_structure.py

- Rooms are the files and folders of `smelt/` and of `smelt/compiler/`. Each stands on a floor of
  FLOORS or STAGES, and imports from its own floor and those below only.
- No modules import each other in a circle.
- Outside `smelt/ops/` nobody compares the name of an operation with a string: its capabilities say
  what it can.

Imports inside functions count for none of this: they say that loading waits until it is needed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FLOORS = (  # the ground floor first
    (
        "errors",
        "location",
        "dtypes",
        "tree",
        "settings",
        "switches",
        "block",
        "locks",
        "markup",
        "paths",
        "version",
        "starting",
        "atomic",
        "memory",
        "deprecated",
        "short_traceback",
        "json_text",
        "names",
        "other_libraries",
        "absent_names",
        "name_families",
        "limits",
        "pytorch_names",
        "cuda",
        "backends",
        "runtime",
        "mpi",
    ),
    ("ir",),
    ("tracing",),
    ("ops",),
    ("tensor",),
    ("creation", "guards", "exact_math", "dual", "exact", "einops_backend", "overflow"),
    ("random",),
    ("autodiff", "autograd"),
    ("control",),
    ("functional",),
    ("compiler",),
    ("nn", "optim", "data"),
    ("distributed",),
    ("train", "plot", "export", "utils", "pages"),
    ("sklearn", "tabular"),
    ("recipes", "book", "bench", "report"),
    ("cli",),
    ("__main__",),
)
STAGES = (  # of `smelt/compiler`, from the machine up to the user's function
    ("artifacts", "cpu"),
    ("graph", "loops", "codegen"),
    ("lower", "c"),
    ("pipeline",),
    ("runtime",),
    ("report",),
    ("frontend",),
)
APART = ("nn", "optim", "data")  # would work with the compiler deleted
Imports = dict[str, dict[str, int]]  # module -> what it imports, and at which line


def problems(root: Path) -> list[str]:
    """Returns what is wrong with the package `smelt` in a folder, a line each."""
    modules = {name: ast.parse(path.read_text()) for name, path in _modules(root)}
    imports: Imports = {name: _imports(tree, modules) for name, tree in modules.items()}
    return [
        *_upward(imports, "smelt", FLOORS),
        *_upward(imports, "smelt.compiler", STAGES),
        *_circles(imports),
        *_compared_names(modules),
    ]


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / "smelt").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _imports(tree: ast.Module, modules: dict[str, ast.Module]) -> dict[str, int]:
    """Returns the modules that one imports when it is loaded, with the line."""
    found: dict[str, int] = {}
    for node in _loaded(tree.body):
        if isinstance(node, ast.Import):
            found |= {alias.name: node.lineno for alias in node.names if alias.name in modules}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [name if name in modules else node.module for name in names]
            found |= {target: node.lineno for target in targets if target in modules}
    return found


def _loaded(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements that run when a module is loaded."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        inner = ast.iter_child_nodes(node)
        yield from _loaded([part for part in inner if isinstance(part, ast.stmt)])


def _upward(imports: Imports, package: str, floors: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    floor = {room: number for number, rooms in enumerate(floors) for room in rooms}
    for module, targets in imports.items():
        room = _room(module, package)
        if room and room not in floor:
            yield f"{module}: {room} stands on no floor of script/check_structure.py"
            continue
        for target, line in targets.items():
            other = _room(target, package)
            if room and other in floor and floor[other] > floor[room]:
                yield f"{module}:{line}: imports {target}, which lies above {room}"
            if room in APART and other == "compiler":
                yield f"{module}:{line}: imports the compiler, and {room} should not know of it"


def _room(module: str, package: str) -> str:
    """Returns the room of a package that a module belongs to; none for the package itself."""
    inside = module.startswith(package + ".")
    return module[len(package) + 1 :].split(".")[0] if inside else ""


def _circles(imports: Imports) -> Iterator[str]:
    """Yields each circle once: what a walk along imports finds on its own path."""
    done: set[str] = set()
    for start in imports:
        path: list[tuple[str, Iterator[str]]] = [(start, iter(imports[start]))]
        while path and start not in done:
            module, targets = path[-1]
            target = next(targets, None)
            if target is None:
                done.add(module)
                path.pop()
            elif target in (names := [name for name, _ in path]):
                circle = [*names[names.index(target) :], target]
                if target != module:
                    yield f"circle: {' -> '.join(circle)}"
            elif target not in done:
                path.append((target, iter(imports[target])))


def _compared_names(modules: dict[str, ast.Module]) -> Iterator[str]:
    for module, tree in modules.items():
        if module.startswith("smelt.ops"):
            continue
        for node in ast.walk(tree):
            sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            if any(map(_is_name_of_operation, sides)):
                yield f"{module}:{node.lineno}: compares an operation's name; ask for a capability"


def _is_name_of_operation(node: ast.expr) -> bool:
    """Whether an expression is `op.name` or `....op.name`."""
    if not isinstance(node, ast.Attribute) or node.attr != "name":
        return False
    holder = node.value
    return getattr(holder, "id", "") == "op" or getattr(holder, "attr", "") == "op"


if __name__ == "__main__":
    found = problems(Path(__file__).parent.parent)
    print("\n".join(found) or "the house is in order")
    sys.exit(bool(found))
