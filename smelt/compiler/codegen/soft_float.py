"""What C's math library has and a CPU may lack an instruction for, as LLVM text.

LLVM calls floorf, fmodf, sqrt and the like by name where the CPU has no instruction for them. An
object that is linked without a C library brings them along: `definitions` writes those that it
needs. All are exact: the remainder is, the others round once. A fused multiply-add of doubles is in
`soft_fma.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from smelt.compiler.codegen.soft_fma import FMA

# SHORT is what the names of the C library end with; FRACTION are the bits behind the point
_FORMATS = {
    "f": {
        "FLOAT": "float", "INT": "i32", "SHORT": "f", "TYPE": "f32", "FRACTION": "23",
        "BIAS": "127", "TOP": "255", "MASK": "8388607", "ONE": "8388608", "SIGN": "-2147483648",
        "ABS": "2147483647", "INF": "2139095040", "WHOLE": "8388608.0", "LEAD": "8",
        "PAIRS": "13", "STEPS": "26", "FIRST": "24",
    },
    "": {
        "FLOAT": "double", "INT": "i64", "SHORT": "", "TYPE": "f64", "FRACTION": "52",
        "BIAS": "1023", "TOP": "2047", "MASK": "4503599627370495", "ONE": "4503599627370496",
        "SIGN": "-9223372036854775808", "ABS": "9223372036854775807",
        "INF": "9218868437227405312", "WHOLE": "4503599627370496.0", "LEAD": "11",
        "PAIRS": "27", "STEPS": "54", "FIRST": "52",
    },
}  # fmt: skip

_TRUNC = """
define internal FLOAT @truncSHORT(FLOAT %x) nounwind {
  %bits = bitcast FLOAT %x to INT
  %kept = lshr INT %bits, FRACTION
  %biased = and INT %kept, TOP
  %power = sub INT %biased, BIAS
  %is_small = icmp slt INT %power, 0
  %is_whole = icmp sge INT %power, FRACTION
  %low = select i1 %is_small, INT 0, INT %power
  %count = select i1 %is_whole, INT FRACTION, INT %low
  %fraction = lshr INT MASK, %count
  %mask = xor INT %fraction, -1
  %cut = and INT %bits, %mask
  %sign = and INT %bits, SIGN
  %result = select i1 %is_small, INT %sign, INT %cut
  %number = bitcast INT %result to FLOAT
  ret FLOAT %number
}"""

_FLOOR = """
define internal FLOAT @floorSHORT(FLOAT %x) nounwind {
  %whole = call FLOAT @truncSHORT(FLOAT %x)
  %is_above = fcmp ogt FLOAT %whole, %x
  %less = fsub FLOAT %whole, 1.0
  %result = select i1 %is_above, FLOAT %less, FLOAT %whole
  ret FLOAT %result
}"""

_CEIL = """
define internal FLOAT @ceilSHORT(FLOAT %x) nounwind {
  %whole = call FLOAT @truncSHORT(FLOAT %x)
  %is_below = fcmp olt FLOAT %whole, %x
  %more = fadd FLOAT %whole, 1.0
  %signed = call FLOAT @llvm.copysign.TYPE(FLOAT %more, FLOAT %x)
  %result = select i1 %is_below, FLOAT %signed, FLOAT %whole
  ret FLOAT %result
}"""

# adding 2^FRACTION leaves no bit behind the point: the sum is rounded there
_ROUNDEVEN = """
define internal FLOAT @roundevenSHORT(FLOAT %x) nounwind {
  %size = call FLOAT @llvm.fabs.TYPE(FLOAT %x)
  %is_small = fcmp olt FLOAT %size, WHOLE
  %up = fadd FLOAT %size, WHOLE
  %down = fsub FLOAT %up, WHOLE
  %signed = call FLOAT @llvm.copysign.TYPE(FLOAT %down, FLOAT %x)
  %result = select i1 %is_small, FLOAT %signed, FLOAT %x
  ret FLOAT %result
}"""

# A long division in binary, of which only the rest is kept.
_FMOD = """
define internal FLOAT @fmodSHORT(FLOAT %a, FLOAT %b) nounwind {
  %a_bits = bitcast FLOAT %a to INT
  %b_bits = bitcast FLOAT %b to INT
  %sign = and INT %a_bits, SIGN
  %x = and INT %a_bits, ABS
  %y = and INT %b_bits, ABS
  %x_bad = icmp uge INT %x, INF
  %y_nan = icmp ugt INT %y, INF
  %y_zero = icmp eq INT %y, 0
  %y_bad = or i1 %y_nan, %y_zero
  %bad = or i1 %x_bad, %y_bad
  br i1 %bad, label %invalid, label %valid
invalid:
  %product = fmul FLOAT %a, %b
  %nan = fdiv FLOAT %product, %product
  ret FLOAT %nan
valid:
  %is_less = icmp ult INT %x, %y
  br i1 %is_less, label %unchanged, label %divide
unchanged:
  ret FLOAT %a
divide:
  %x_parts = call {INT, INT} @smelt_partsSHORT(INT %x)
  %y_parts = call {INT, INT} @smelt_partsSHORT(INT %y)
  %x_start = extractvalue {INT, INT} %x_parts, 0
  %x_power = extractvalue {INT, INT} %x_parts, 1
  %divisor = extractvalue {INT, INT} %y_parts, 0
  %y_power = extractvalue {INT, INT} %y_parts, 1
  br label %digit
digit:
  %rest = phi INT [%x_start, %divide], [%doubled, %next]
  %power = phi INT [%x_power, %divide], [%lower, %next]
  %fits = icmp uge INT %rest, %divisor
  %taken = sub INT %rest, %divisor
  %left = select i1 %fits, INT %taken, INT %rest
  %is_more = icmp sgt INT %power, %y_power
  br i1 %is_more, label %next, label %done
next:
  %doubled = shl INT %left, 1
  %lower = sub INT %power, 1
  br label %digit
done:
  %is_zero = icmp eq INT %left, 0
  br i1 %is_zero, label %zero, label %pack
zero:
  %signed_zero = bitcast INT %sign to FLOAT
  ret FLOAT %signed_zero
pack:
  %zeros = call INT @llvm.ctlz.INT(INT %left, i1 false)
  %shift = sub INT %zeros, LEAD
  %normal = shl INT %left, %shift
  %exponent = sub INT %y_power, %shift
  %is_normal = icmp sgt INT %exponent, 0
  %fraction = sub INT %normal, ONE
  %high = shl INT %exponent, FRACTION
  %large = add INT %fraction, %high
  %missing = sub INT 1, %exponent
  %count = select i1 %is_normal, INT 0, INT %missing
  %small = lshr INT %normal, %count
  %size = select i1 %is_normal, INT %large, INT %small
  %bits = or INT %size, %sign
  %result = bitcast INT %bits to FLOAT
  ret FLOAT %result
}"""

# The bits of a number above 0 as an integer of FRACTION + 1 bits and a biased exponent.
_PARTS = """
define internal {INT, INT} @smelt_partsSHORT(INT %bits) nounwind {
  %biased = lshr INT %bits, FRACTION
  %is_subnormal = icmp eq INT %biased, 0
  %low = and INT %bits, MASK
  %full = or INT %low, ONE
  %fraction = select i1 %is_subnormal, INT %bits, INT %full
  %power = select i1 %is_subnormal, INT 1, INT %biased
  %zeros = call INT @llvm.ctlz.INT(INT %fraction, i1 false)
  %shift = sub INT %zeros, LEAD
  %normal = shl INT %fraction, %shift
  %exponent = sub INT %power, %shift
  %first = insertvalue {INT, INT} poison, INT %normal, 0
  %both = insertvalue {INT, INT} %first, INT %exponent, 1
  ret {INT, INT} %both
}"""

# Two bits of the number give one of the root, from the top; zeros follow the number's PAIRS.
_SQRT = """
define internal FLOAT @sqrtSHORT(FLOAT %x) nounwind {
  %is_positive = fcmp ogt FLOAT %x, 0.0
  %is_finite = fcmp olt FLOAT %x, 0x7FF0000000000000
  %is_usual = and i1 %is_positive, %is_finite
  br i1 %is_usual, label %usual, label %special
special:
  %is_negative = fcmp olt FLOAT %x, 0.0
  %kept = select i1 %is_negative, FLOAT 0x7FF8000000000000, FLOAT %x
  ret FLOAT %kept
usual:
  %bits = bitcast FLOAT %x to INT
  %parts = call {INT, INT} @smelt_partsSHORT(INT %bits)
  %fraction = extractvalue {INT, INT} %parts, 0
  %biased = extractvalue {INT, INT} %parts, 1
  %power = sub INT %biased, BIAS
  %scale = sub INT %power, FRACTION
  %odd = and INT %scale, 1
  %square = shl INT %fraction, %odd
  %even = sub INT %scale, %odd
  br label %digit
digit:
  %step = phi INT [0, %usual], [%following, %digit]
  %root = phi INT [0, %usual], [%longer, %digit]
  %rest = phi INT [0, %usual], [%less, %digit]
  %twice = shl INT %step, 1
  %place = sub INT FIRST, %twice
  %is_given = icmp ult INT %step, PAIRS
  %count = select i1 %is_given, INT %place, INT 0
  %moved = lshr INT %square, %count
  %pair = and INT %moved, 3
  %two = select i1 %is_given, INT %pair, INT 0
  %raised = shl INT %rest, 2
  %dividend = or INT %raised, %two
  %doubled = shl INT %root, 2
  %trial = or INT %doubled, 1
  %fits = icmp uge INT %dividend, %trial
  %taken = sub INT %dividend, %trial
  %less = select i1 %fits, INT %taken, INT %dividend
  %last = zext i1 %fits to INT
  %root_moved = shl INT %root, 1
  %longer = or INT %root_moved, %last
  %following = add INT %step, 1
  %is_more = icmp ult INT %following, STEPS
  br i1 %is_more, label %digit, label %round
round:
  %zeros = call INT @llvm.ctlz.INT(INT %longer, i1 false)
  %extra = sub INT LEAD, %zeros
  %kept_bits = lshr INT %longer, %extra
  %unit = shl INT 1, %extra
  %mask = sub INT %unit, 1
  %below = and INT %longer, %mask
  %half = lshr INT %unit, 1
  %is_above = icmp ugt INT %below, %half
  %is_half = icmp eq INT %below, %half
  %is_inexact = icmp ne INT %less, 0
  %last_bit = and INT %kept_bits, 1
  %is_odd = icmp ne INT %last_bit, 0
  %tie_up = or i1 %is_inexact, %is_odd
  %half_up = and i1 %is_half, %tie_up
  %up = or i1 %is_above, %half_up
  %one = zext i1 %up to INT
  %rounded = add INT %kept_bits, %one
  %half_scale = ashr INT %even, 1
  %zeros_behind = sub INT STEPS, PAIRS
  %lowest = sub INT %half_scale, %zeros_behind
  %lowest_kept = add INT %lowest, %extra
  %first_bit = add INT %lowest_kept, FRACTION
  %raised_power = add INT %first_bit, BIAS
  %exponent = sub INT %raised_power, 1
  %high = shl INT %exponent, FRACTION
  %number = add INT %rounded, %high
  %result = bitcast INT %number to FLOAT
  ret FLOAT %result
}"""

# The product is exact in double, the sum is rounded to odd (Boldo and Melquiond 2008), so that
# rounding it again goes not wrong.
_FMAF = """
define internal float @fmaf(float %a, float %b, float %c) nounwind {
  %x = fpext float %a to double
  %y = fpext float %b to double
  %z = fpext float %c to double
  %product = fmul double %x, %y
  %sum = fadd double %product, %z
  %back = fsub double %sum, %product
  %rest = fsub double %sum, %back
  %first = fsub double %product, %rest
  %second = fsub double %z, %back
  %lost = fadd double %first, %second
  %bits = bitcast double %sum to i64
  %last = and i64 %bits, 1
  %is_even = icmp eq i64 %last, 0
  %is_inexact = fcmp one double %lost, 0.0
  %changes = and i1 %is_even, %is_inexact
  %lost_more = fcmp ogt double %lost, 0.0
  %is_more = fcmp ogt double %sum, 0.0
  %differ = xor i1 %lost_more, %is_more
  %step = select i1 %differ, i64 -1, i64 1
  %by = select i1 %changes, i64 %step, i64 0
  %odd_bits = add i64 %bits, %by
  %odd = bitcast i64 %odd_bits to double
  %result = fptrunc double %odd to float
  ret float %result
}"""

_BOTH = {
    "trunc": _TRUNC, "floor": _FLOOR, "ceil": _CEIL, "roundeven": _ROUNDEVEN, "fmod": _FMOD,
    "sqrt": _SQRT, "smelt_parts": _PARTS,
}  # fmt: skip


def _filled(text: str, words: dict[str, str]) -> str:
    """Returns a text with its words in capitals replaced, the longest of those that fit."""
    pattern = "|".join(sorted(words, key=len, reverse=True))
    return re.sub(pattern, lambda found: words[found.group()], text).strip("\n")


_TEXTS = {
    f"{name}{short}": _filled(text, words)
    for short, words in _FORMATS.items()
    for name, text in _BOTH.items()
} | {"fmaf": _FMAF.strip("\n"), "fma": FMA}
AVAILABLE = frozenset(_TEXTS) - {"smelt_parts", "smelt_partsf"}
_INTRINSICS = {
    "@llvm.copysign.f32(": "declare float @llvm.copysign.f32(float, float)",
    "@llvm.copysign.f64(": "declare double @llvm.copysign.f64(double, double)",
    "@llvm.fabs.f32(": "declare float @llvm.fabs.f32(float)",
    "@llvm.fabs.f64(": "declare double @llvm.fabs.f64(double)",
    "@llvm.ctlz.i32(": "declare i32 @llvm.ctlz.i32(i32, i1)",
    "@llvm.ctlz.i64(": "declare i64 @llvm.ctlz.i64(i64, i1)",
    "@llvm.fshl.i64(": "declare i64 @llvm.fshl.i64(i64, i64, i64)",
    "@llvm.fshr.i64(": "declare i64 @llvm.fshr.i64(i64, i64, i64)",
}


def definitions(names: Collection[str], known: str = "") -> str:
    """Returns LLVM text that defines functions and what they call, and keeps them in the object
    although nothing in the text calls them.

    Args:
        names: of functions, of those in AVAILABLE.
        known: the text that they are put behind; what it declares is not declared again.
    """
    wanted, found = list(names), dict[str, str]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _TEXTS[name]
            wanted += re.findall(r"call [^@\n]* @(\w+)\(", _TEXTS[name])
    texts = [found[name] for name in sorted(found)]
    called = "\n".join(texts)
    declared = [
        line
        for mark, line in _INTRINSICS.items()
        if mark in called and not re.search(f"^declare [^@]*{re.escape(mark)}", known, re.M)
    ]
    kept = ", ".join(f"ptr @{name}" for name in sorted(names))
    used = (
        f"@llvm.compiler.used = appending global [{len(names)} x ptr] [{kept}], "
        'section "llvm.metadata"'
    )
    return "\n\n".join(["\n".join(declared), *texts, used]) + "\n"


def with_inlined_fma(text: str) -> str:
    """Returns LLVM text whose fused multiply-adds of single floats are written out, where a CPU has
    no instruction for them: LLVM makes vectors of loops that do arithmetic, and none of calls.

    Before: `call float @llvm.fma.f32(...)`. After: a call of `smelt_fmaf`, which LLVM inlines.
    """
    called = "call float @llvm.fma.f32("
    if called not in text:
        return text
    attributes = ') alwaysinline nounwind "no-builtins"'
    body = _TEXTS["fmaf"].replace("@fmaf(", "@smelt_fmaf(").replace(") nounwind", attributes)
    text = re.sub(r"^declare float @llvm\.fma\.f32\(.*\n", "", text, flags=re.M)
    return text.replace(called, "call float @smelt_fmaf(") + f"\n{body}\n"
