"""Object code made in another process: what it refuses is one clear error here."""

from __future__ import annotations

import pytest

from smelt.compiler.codegen.apart import ConstructError, compile_apart
from smelt.compiler.codegen.machine import Target
from smelt.compiler.codegen.object_file import code_bytes, read_elf, undefined
from smelt.errors import ArgumentError

CORTEX = Target("thumbv7em-none-eabi", "cortex-m4", "", "static")
WASM = Target("wasm32-unknown-unknown", "generic", "", "static")
PLAIN = "define float @plain(float %x) nounwind {\n  %y = fadd float %x, %x\n  ret float %y\n}\n"
CALL = """
declare float @llvm.floor.f32(float)
define float @down(float %x) nounwind {
  %y = call float @llvm.floor.f32(float %x)
  ret float %y
}
"""
# instructions of x86-64
FLAGS = """
declare i32 @llvm.x86.flags.read.u32()
define i32 @lost.7() nounwind {
  %x = call i32 @llvm.x86.flags.read.u32()
  ret i32 %x
}
"""
VECTORS = """
declare <4 x float> @llvm.x86.sse.rcp.ps(<4 x float>)
define void @lost.7(ptr %x) nounwind {
  %y = load <4 x float>, ptr %x
  %z = call <4 x float> @llvm.x86.sse.rcp.ps(<4 x float> %y)
  store <4 x float> %z, ptr %x
  ret void
}
"""


def test_code_for_another_cpu() -> None:
    file = read_elf(compile_apart(PLAIN, CORTEX, "loops"))
    assert file.machine == 40  # Arm
    assert [one.name for one in file.symbols if one.section and one.name == "plain"] == ["plain"]


@pytest.mark.parametrize("target", [CORTEX, WASM])
def test_what_code_needs_from_elsewhere(target: Target) -> None:
    code = compile_apart(CALL, target, "loops")
    assert undefined(code) == ([] if target is WASM else ["floorf"])  # WebAssembly has f32.floor
    assert 0 < code_bytes(code) < 64
    called = compile_apart(CALL.replace("llvm.floor.f32", "outside"), WASM, "loops")
    assert undefined(called) == ["outside"]


@pytest.mark.parametrize(
    ("text", "construct"), [(FLAGS, "llvm.x86.flags.read.u32"), (VECTORS, "llvm.x86.sse.rcp.ps")]
)
def test_what_llvm_has_no_code_for_ends_the_other_process_only(text: str, construct: str) -> None:
    with pytest.raises(ConstructError) as caught:
        compile_apart(text, CORTEX, "inline")
    message = str(caught.value)
    assert "thumbv7em-none-eabi, cortex-m4" in message
    assert construct in message


def test_text_that_is_none() -> None:
    with pytest.raises(ConstructError, match="LLVM does not accept the module"):
        compile_apart("define nothing", CORTEX, "inline")


def test_cpus_and_features_that_llvm_does_not_know() -> None:
    with pytest.raises(ArgumentError, match="no CPU 'cortex-m99'"):
        compile_apart(PLAIN, Target(CORTEX.triple, "cortex-m99", ""), "loops")
    with pytest.raises(ArgumentError, match="no feature '.?telepathy'"):
        compile_apart(PLAIN, Target(CORTEX.triple, "cortex-m4", "+telepathy"), "loops")
    with pytest.raises(ConstructError):
        compile_apart(PLAIN, Target("nonsense-none-none", "", ""), "loops")
