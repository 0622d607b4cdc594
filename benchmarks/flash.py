"""Flash and RAM of exported inference on a Cortex-M4F, as the linker's map file has them.

    python benchmarks/flash.py [--peers PYTHON] [NETWORK ...]

Three networks, for one sample: a perceptron for the digits (64-128-64-10), the small DS-CNN of
Zhang et al. ("Hello Edge", 2017; 49 x 10 inputs, 64 channels, four blocks), and an LSTM of 32 units
over ten steps. Each is exported as C in float32 and, if `quantize` takes it, in int8, and as object
code. arm-none-eabi-gcc compiles the C with -Os, -O2 and -O3, and links it with a main function that
does nothing else; the map file says what every part takes. Code is that of the network; beside it
stands that of the compiler's and the C library, as far as it is linked. Constants are the weights.
RAM is the state. Where the report of the export and the map file differ in RAM or in constants, the
script fails (a compiler may leave out a constant of one number). Stack is the frame of the step and
the largest frame below it, as the compiler gives them; for object code it is not known, 0.

PYTHON has emlearn and scikit-learn: emlearn writes the same perceptron, with the same weights, as
C, in its form "loadable", its default. (Its form "inline" fails for perceptrons, in version
0.23.2.) It has no convolutional and no recurrent networks.

arm-none-eabi-gcc is Debian's: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi
"""

from __future__ import annotations

import argparse
import ctypes
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import export, nn, optim
from smelt.data import load_digits

CPU = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
PARTS = ("-ffunction-sections", "-fdata-sections", "-fstack-usage")
LINKED = ("-nostartfiles", "-Wl,-e,main", "-Wl,--gc-sections")
LIBRARIES = ("--specs=nano.specs", "--specs=nosys.specs", "-lm")
LEVELS = ("-Os", "-O2", "-O3")
TARGET = "thumbv7em-none-eabihf"
EPOCHS, CALIBRATION = 20, 300

# what the other Python runs: weights in, C out
EMLEARN = """
import sys, warnings
import numpy, emlearn
from sklearn.neural_network import MLPClassifier

arrays = numpy.load(sys.argv[1])
weights = [arrays[f"w{k}"].T.astype(float) for k in range(len(arrays) // 2)]
biases = [arrays[f"b{k}"].astype(float) for k in range(len(arrays) // 2)]
widths = tuple(len(one) for one in biases)
warnings.simplefilter("ignore")
model = MLPClassifier(widths[:-1], max_iter=1)
model.fit(numpy.zeros((widths[-1], len(weights[0]))), numpy.arange(widths[-1]))
model.coefs_, model.intercepts_ = weights, biases
emlearn.convert(model).save(name="net", file=sys.argv[2])
print(emlearn.__version__, emlearn.includedir)
"""


@dataclass(frozen=True)
class Network:
    """A trained or random network, samples for calibration, and one sample."""

    model: nn.Module
    calibration: np.ndarray

    @property
    def sample(self) -> np.ndarray:
        return self.calibration[:1]


@dataclass
class Sizes:
    """Bytes of a linked program, from its map file."""

    code: int = 0
    library: int = 0  # code of the compiler's library
    constants: int = 0
    ram: int = 0
    stack: int = 0


# --- networks -------------------------------------------------------------------------------------


def digits() -> Network:
    images, labels = (np.asarray(one) for one in load_digits("train"))
    layers = nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    model = nn.Sequential(nn.Flatten(), *layers)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step.over(images, labels, batch_size=64, shuffle=True, epochs=EPOCHS)
    return Network(model.eval(), images[:CALIBRATION])


def words() -> Network:
    def block() -> list[nn.Module]:
        return [
            nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, 64, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        ]

    model = nn.Sequential(
        nn.Conv2d(1, 64, (10, 4), stride=2, padding=(5, 1), bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        *[module for _ in range(4) for module in block()],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 12),
    )
    random = np.random.default_rng(1)
    with smelt.no_grad():  # statistics as after a training: no two alike
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                    tensor.copy_(random.uniform(0.3, 0.8, tensor.shape).astype(np.float32))
    return Network(model.eval(), _random(CALIBRATION, 1, 49, 10))


class LSTM(nn.Module):
    """An LSTM of 32 units, and a linear layer on its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 3)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:  # (n, t, 4)
        outputs, _ = self.layer(x)
        return self.head(outputs[:, -1])


def lstm() -> Network:
    return Network(LSTM().eval(), _random(CALIBRATION, 10, 4))


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


NETWORKS: dict[str, Callable[[], Network]] = {"digits": digits, "DS-CNN": words, "LSTM 32": lstm}
HAS_INT8 = ("digits", "DS-CNN")


# --- compiling, linking, reading the map ----------------------------------------------------------


def run(*command: str | Path, folder: Path | None = None) -> str:
    """Runs a program, in a folder if one is given, and returns what it prints."""
    words = list(map(str, command))
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
    return done.stdout


def compiled(source: Path, level: str, *options: str) -> Path:
    """Returns the object file of a C file for the Cortex-M4F."""
    made = source.with_suffix(f".{level[1:]}.o")
    run("arm-none-eabi-gcc", "-std=c99", level, *CPU, *PARTS, *options, "-c", source, "-o", made)
    return made


def linked(network: Path, others: Sequence[Path]) -> dict[tuple[str, str], int]:
    """Links a program; returns the bytes of each section of each file, from the map file."""
    program = network.with_suffix(".elf")
    map_file = network.with_suffix(".map")
    options = (*CPU, *LINKED, f"-Wl,-Map={map_file}")
    run("arm-none-eabi-gcc", *options, network, *others, "-o", program, *LIBRARIES)
    text = map_file.read_text().split("Linker script and memory map")[1]
    # a long name of a section stands on a line of its own
    lines = re.findall(r"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S.*)$", text, re.MULTILINE)
    sizes: dict[tuple[str, str], int] = {}
    for section, size, file in lines:
        kind = section.split(".")[1]
        sizes[kind, file] = sizes.get((kind, file), 0) + int(size, 16)
    return sizes


def measured(network: Path, ram: Sequence[Path], main: Path) -> Sizes:
    """Returns the sizes of a network; its RAM is what its own file and `ram` have."""
    parts = linked(network, [*ram, main])
    own, state = {str(network)}, {str(network), *map(str, ram)}
    found = Sizes()
    for (kind, file), size in parts.items():
        if kind in ("data", "bss") and file in state:
            found.ram += size
        elif kind == "text" and file in own:
            found.code += size
        elif kind == "rodata" and file in own:
            found.constants += size
        elif kind in ("text", "rodata") and ".a(" in file:  # a member of a library
            found.library += size
    return found


def stack(usage: Path, step: str) -> int:
    """Returns the frame of a function and the largest of the others."""
    frames = {}
    for line in usage.read_text().splitlines():
        place, size, _ = line.split("\t")
        frames[place.rsplit(":", 1)[1]] = int(size)
    own = frames.pop(step)
    return own + max(frames.values(), default=0)


# --- what is compared -----------------------------------------------------------------------------


def exported(folder: Path, name: str, model: nn.Module, sample: np.ndarray) -> export.CExport:
    """Exports a network as C, with a file for its state and one for main."""
    made = export.to_c(model, folder, sample, name=name)
    _state_and_main(folder, made)
    return made


def _state_and_main(folder: Path, made: export.CExport | export.ObjectExport) -> None:
    name = made.name
    (folder / f"{name}_state.c").write_text(f'#include "{name}.h"\n{name}_state state;\n')
    several = enumerate((*made.arguments, *made.results))
    arrays = [f"static float a{k}[{max(1, np.prod(one.shape))}];\n" for k, one in several]
    given = ", ".join(["&state", *[f"a{k}" for k in range(len(arrays))]])
    (folder / f"{name}_main.c").write_text(
        f'#include "{name}.h"\nextern {name}_state state;\n{"".join(arrays)}'
        f"int main(void) {{ {name}_init(&state); return {name}_step({given}); }}\n"
    )


def of_c(folder: Path, made: export.CExport, level: str) -> Sizes:
    """Returns the sizes of exported C, which must be those of the report."""
    source = Path(made.source)
    network = compiled(source, level)
    beside = [compiled(folder / f"{made.name}_{part}.c", level) for part in ("state", "main")]
    found = measured(network, beside[:1], beside[1])
    found.stack = stack(network.with_suffix(".su"), f"{made.name}_step")
    checked(made.name, found, made.state_bytes, sum(made.flash.values()))
    return found


def of_object(folder: Path, model: nn.Module, sample: np.ndarray, name: str) -> Sizes:
    """Returns the sizes of object code."""
    made = export.to_object(model, folder / f"{name}.o", sample, target=TARGET)
    _state_and_main(folder, made)
    beside = [compiled(folder / f"{name}_{part}.c", "-Os") for part in ("state", "main")]
    found = measured(Path(made.object_file), beside[:1], beside[1])
    code = made.flash.get("code", 0)
    checked(name, found, made.state_bytes, sum(made.flash.values()) - code)
    return found


def checked(name: str, found: Sizes, ram: int, constants: int) -> None:
    """Ends the program if the report of an export and the map file differ."""
    for what, reported, in_map, agrees in (
        ("RAM", ram, found.ram, ram == found.ram),
        # a compiler may leave out a constant of one number
        ("constants", constants, found.constants, 0 <= constants - found.constants <= 16),
    ):
        if not agrees:
            raise SystemExit(f"{name}: {what}: {reported} bytes reported, {in_map} in the map file")


def emlearn_files(folder: Path, peers: str, network: Network) -> tuple[Path, str, str]:
    """Has emlearn write a perceptron as C; returns the file, the folder of emlearn's headers, and
    its version.
    """
    layers = [module for module in network.model.modules() if isinstance(module, nn.Linear)]
    arrays = {}
    for number, layer in enumerate(layers):
        arrays[f"w{number}"] = layer.weight.detach().numpy()
        arrays[f"b{number}"] = layer.bias.detach().numpy()
    np.savez(folder / "weights.npz", **arrays)
    files = folder / "weights.npz", folder / "emlearn.h"
    printed = run(peers, "-c", EMLEARN, *files, folder=folder)  # it leaves files where it runs
    version, include = printed.split()[-2:]
    source = folder / "emlearn.c"
    source.write_text('#include "emlearn.h"\n')
    return source, include, version


def of_emlearn(folder: Path, peers: str, network: Network) -> list[tuple[str, Sizes]]:
    """Returns the sizes of emlearn's C for the same perceptron, by level of optimization."""
    source, include, version = emlearn_files(folder, peers, network)
    main = folder / "emlearn_main.c"
    main.write_text(
        "#include <stdint.h>\nint32_t net_predict(const float *, int32_t);\n"
        "static float x[64];\nint main(void) { return net_predict(x, 64); }\n"
    )
    agreement(folder, source, include, network)
    found = []
    for level in LEVELS:
        network_file = compiled(source, level, f"-I{include}")
        sizes = measured(network_file, [], compiled(main, level))
        sizes.stack = stack(network_file.with_suffix(".su"), "net_predict")
        found.append((f"emlearn {version}, {level}", sizes))
    return found


def agreement(folder: Path, source: Path, include: str, network: Network) -> None:
    """Says for how many test images emlearn's C, on this machine, gives Smelt's class."""
    library = folder / "emlearn.so"
    run("gcc", "-std=c99", "-O2", f"-I{include}", "-shared", "-fPIC", source, "-lm", "-o", library)
    predict = ctypes.CDLL(str(library)).net_predict
    images = np.asarray(load_digits("test")[0]).reshape(-1, 64)
    wanted = np.argmax(np.asarray(smelt.compile(network.model)(images)), -1)
    given = [predict(ctypes.c_void_p(image.ctypes.data), 64) for image in images]
    print(f"emlearn's C gives the same class for {sum(wanted == given)} of {len(images)} images")


def rows(name: str, folder: Path, peers: str | None) -> None:
    smelt.manual_seed(0)
    network = NETWORKS[name]()
    stem = re.sub(r"\W", "_", name).lower()
    models = {"float32": network.model}
    if name in HAS_INT8:
        models["int8"] = export.quantize(network.model, network.calibration)
    found: list[tuple[str, Sizes]] = []
    for kind, model in models.items():
        made = exported(folder, f"{stem}_{kind}", model, network.sample)
        found += [(f"{kind}, {level}", of_c(folder, made, level)) for level in LEVELS]
        in_object = of_object(folder, model, network.sample, f"{stem}_{kind}_object")
        found.append((f"{kind}, object", in_object))
    if peers and name == "digits":
        found += of_emlearn(folder, peers, network)
    for kind, one in found:
        sizes = (one.code, one.library, one.constants, one.ram, one.stack)
        cells = "".join(f"{size:>10,}" for size in sizes)
        print(f"{name:<9}{kind:<24}{cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", help="a Python that has emlearn and scikit-learn")
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(NETWORKS)}")
    given = parser.parse_args()
    heads = ("code", "library", "constants", "RAM", "stack")
    print(f"{'bytes':<33}" + "".join(f"{head:>10}" for head in heads), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in given.networks or NETWORKS:
            rows(name, Path(folder), given.peers)


if __name__ == "__main__":
    main()
