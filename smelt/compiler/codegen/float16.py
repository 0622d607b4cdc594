"""Conversions of float16 for CPUs that have no instruction for them, as LLVM text.

For these LLVM calls two functions of GCC's library, which a process may lack. Code for other CPUs
never calls them.
"""

from __future__ import annotations

from smelt.compiler.codegen.writer import Module

# A half with the exponent 31 is infinity or nan. Any other, also a subnormal, differs from a float
# only in its bias, which is corrected by 2^112.
_WIDEN = """
define weak float @__extendhfsf2(half %x) nounwind {
  %half = bitcast half %x to i16
  %bits = zext i16 %half to i32
  %size = and i32 %bits, 32767
  %shifted = shl i32 %size, 13
  %small = bitcast i32 %shifted to float
  %scaled = fmul float %small, 0x46F0000000000000
  %finite = bitcast float %scaled to i32
  %largest = or i32 %shifted, 2139095040
  %is_nan = icmp ugt i32 %size, 31744
  %quiet = select i1 %is_nan, i32 4194304, i32 0
  %special = or i32 %largest, %quiet
  %is_special = icmp uge i32 %size, 31744
  %value = select i1 %is_special, i32 %special, i32 %finite
  %sign_bit = and i32 %bits, 32768
  %sign = shl i32 %sign_bit, 16
  %result = or i32 %value, %sign
  %float = bitcast i32 %result to float
  ret float %float
}"""

# To nearest, ties to even. Below 2^-14 adding 0.5 rounds to a multiple of 2^-24, which is the last
# bit of 0.5.
_NARROW = """
define weak half @__truncsfhf2(float %x) nounwind {
  %bits = bitcast float %x to i32
  %size = and i32 %bits, 2147483647
  %last = lshr i32 %size, 13
  %odd = and i32 %last, 1
  %rebiased = add i32 %size, -939520001
  %rounded = add i32 %rebiased, %odd
  %normal = lshr i32 %rounded, 13
  %magnitude = bitcast i32 %size to float
  %aligned = fadd float %magnitude, 0.5
  %aligned_bits = bitcast float %aligned to i32
  %subnormal = sub i32 %aligned_bits, 1056964608
  %is_small = icmp ult i32 %size, 947912704
  %finite = select i1 %is_small, i32 %subnormal, i32 %normal
  %is_large = icmp uge i32 %size, 1199566848
  %bounded = select i1 %is_large, i32 31744, i32 %finite
  %payload = and i32 %last, 1023
  %nan = or i32 %payload, 32256
  %is_nan = icmp ugt i32 %size, 2139095040
  %value = select i1 %is_nan, i32 %nan, i32 %bounded
  %high = lshr i32 %bits, 16
  %sign = and i32 %high, 32768
  %result = or i32 %value, %sign
  %short = trunc i32 %result to i16
  %half = bitcast i16 %short to half
  ret half %half
}"""


def use_float16(module: Module) -> None:
    """Adds both functions to a module that converts float16."""
    if "float16" not in module.helpers:
        module.helpers.add("float16")
        module.functions += [_WIDEN, _NARROW]
