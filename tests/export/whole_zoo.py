"""Twenty networks as C, object code and WebAssembly on every target: `script/test-export` runs it.

Each is trained for 100 steps and asked for 1,000 inputs, sanitized, and compared with Python; then
fewer steps on every target, which must give the same bits. Object code with vectors is compared
with Python, that without and WebAssembly have the bits of the C.
"""

from __future__ import annotations

import sys
import time

from tests.export.c_agreement import KINDS, Agreement, predicted, trained
from tests.export.c_targets import OBJECTS, SAME_AS_C
from tests.export.c_zoo import ZOO

STEPS, INPUTS = 3, 16  # on other targets
WITH_VECTORS = [f"object {name}" for name in OBJECTS if name not in SAME_AS_C]


def main(names: list[str]) -> int:
    """Returns 0 if all is well; says of each network what was found."""
    absent = {name: target for name, target in KINDS.items() if target.missing}
    for name, target in absent.items():
        print(f"{name}: {target.missing} is missing: {target.remedy}")
    failed = any(not target.needs for target in absent.values())  # a CPU cannot be installed
    for name in names or ZOO:
        start = time.perf_counter()
        try:
            line = _checked(name, [target for target in KINDS if target not in absent])
        except AssertionError as error:
            failed, line = True, f"FAILED: {error}"
        print(f"{name:<18}{line}  {time.perf_counter() - start:.0f} s", flush=True)
    return int(failed)


def _checked(name: str, targets: list[str]) -> str:
    training = trained(name)
    training.check()
    line = f"losses {training.losses:.1e}, parameters {training.parameters:.1e}"
    if training.wide is not None:
        ours, python = training.from_wide()
        line += f" (in float64 {training.wide.losses:.1e}, {training.wide.parameters:.1e}; losses "
        line += f"of C from float64 {ours:.1e}, of Python {python:.1e})"
    runs = [("training", trained, STEPS)]
    if ZOO[name].inputs:
        inference = predicted(name)
        inference.check()
        line += f", outputs {inference.outputs:.1e}"
        runs.append(("inference", predicted, INPUTS))
    for kind, run, count in runs:
        found: dict[str, Agreement] = {target: run(name, target, count) for target in targets}
        for target, one in found.items():
            if target in WITH_VECTORS:
                one.check()
            else:
                wanted = found[targets[0]].results  # modules also hold what does not change
                assert wanted.items() <= one.results.items(), f"{kind}: other bits on {target}"
    same = [target for target in targets if target not in WITH_VECTORS]
    agree = len(targets) - len(same)
    return f"{line}; the same bits on {len(same)} targets, {agree} with vectors agree"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
