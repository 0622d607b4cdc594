"""Conversions from one dtype to another, each rounded once."""

from __future__ import annotations

from smelt.compiler.codegen.float16 import use_float16
from smelt.compiler.codegen.operands import constant, intrinsic, mask_type, splat
from smelt.compiler.codegen.writer import Value, Writer, register_type, suffix, vector
from smelt.dtypes import DType, bfloat16, bool_, float16, float32, float64, int32


def convert(w: Writer, x: Value, dtype: DType) -> Value:
    """Returns `x` as `dtype`: floats to integers truncate, saturate, and map nan to 0."""
    if x.dtype is dtype:
        return x
    x = splat(w, x, x.lanes)
    if dtype.kind == "bool":
        return _to_bool(w, x)
    if x.dtype.itemsize == 2 and x.dtype.is_float:
        return convert(w, _widen_half(w, x), dtype)
    if dtype is bfloat16:
        return _to_bfloat16(w, convert(w, x, float32))
    if dtype is float16:
        return _to_float16(w, x)
    type_ = register_type(dtype, x.lanes)
    if x.dtype.is_float and not dtype.is_float:
        name = f"llvm.fptosi.sat.{suffix(type_)}.{suffix(x.type)}"
        return Value(w.call(type_, name, x.typed), dtype, x.lanes)
    return Value(w.let(f"{_conversion(x.dtype, dtype)} {x.typed} to {type_}"), dtype, x.lanes)


def _conversion(given: DType, wanted: DType) -> str:
    if given.kind == "bool":
        return "uitofp" if wanted.is_float else "zext"
    if given.kind == "int" and wanted.is_float:
        return "sitofp"
    wider = wanted.itemsize > given.itemsize
    if given.kind == "int":
        return "sext" if wider else "trunc"
    return "fpext" if wider else "fptrunc"


def _to_bool(w: Writer, x: Value) -> Value:
    wide = convert(w, x, x.dtype.compute)
    zero = constant(0, wide.dtype, x.lanes).text
    compare = "fcmp une" if wide.dtype.is_float else "icmp ne"
    return Value(w.let(f"{compare} {wide.typed}, {zero}"), bool_, x.lanes)


def _widen_half(w: Writer, x: Value) -> Value:
    single = register_type(float32, x.lanes)
    if x.dtype is float16:
        use_float16(w.module)
        half = w.let(f"bitcast {x.typed} to {vector('half', x.lanes)}")
        return Value(w.let(f"fpext {vector('half', x.lanes)} {half} to {single}"), float32, x.lanes)
    wide = vector("i32", x.lanes)
    bits = w.let(f"zext {x.typed} to {wide}")
    high = w.let(f"shl {wide} {bits}, {constant(16, int32, x.lanes).text}")
    return Value(w.let(f"bitcast {wide} {high} to {single}"), float32, x.lanes)


def _to_float16(w: Writer, x: Value) -> Value:
    """Writes a conversion that rounds once: a double is first rounded to odd, an int to nearest."""
    use_float16(w.module)
    single = _round_to_odd(w, x) if x.dtype is float64 else convert(w, x, float32)
    half = vector("half", x.lanes)
    rounded = w.let(f"fptrunc {single.typed} to {half}")
    bits = w.let(f"bitcast {half} {rounded} to {vector('i16', x.lanes)}")
    return Value(bits, float16, x.lanes)


def _round_to_odd(w: Writer, x: Value) -> Value:
    """Returns a double rounded to odd: the float's last bit is 1 unless it is exact.

    Rounding it again, to fewer bits, gives the right result (Boldo and Melquiond 2008).
    """
    near = convert(w, x, float32)
    back = convert(w, near, float64)
    near_size, size = intrinsic(w, "fabs", back), intrinsic(w, "fabs", x)
    low = w.let(f"fcmp olt {x.type} {near_size}, {size}")
    high = w.let(f"fcmp ogt {x.type} {near_size}, {size}")
    wide, one = vector("i32", x.lanes), constant(1, int32, x.lanes).text
    bits = w.let(f"bitcast {near.typed} to {wide}")
    last = w.let(f"and {wide} {bits}, {one}")
    even = w.let(f"icmp ne {wide} {last}, {one}")
    outward, inward = (w.let(f"and {mask_type(x)} {side}, {even}") for side in (low, high))
    up = w.let(f"zext {mask_type(x)} {outward} to {wide}")
    down = w.let(f"sext {mask_type(x)} {inward} to {wide}")
    step = w.let(f"or {wide} {up}, {down}")
    odd = w.let(f"add {wide} {bits}, {step}")
    return Value(w.let(f"bitcast {wide} {odd} to {near.type}"), float32, x.lanes)


def _to_bfloat16(w: Writer, x: Value) -> Value:
    """Writes round to nearest even on the bits; nan stays nan and becomes quiet."""
    wide, lanes = vector("i32", x.lanes), x.lanes
    bits = w.let(f"bitcast {x.typed} to {wide}")
    shift = constant(16, int32, lanes).text
    top = w.let(f"lshr {wide} {bits}, {shift}")
    last = w.let(f"and {wide} {top}, {constant(1, int32, lanes).text}")
    bias = w.let(f"add {wide} {last}, {constant(0x7FFF, int32, lanes).text}")
    sum_ = w.let(f"add {wide} {bits}, {bias}")
    rounded = w.let(f"lshr {wide} {sum_}, {shift}")
    quiet = w.let(f"or {wide} {top}, {constant(0x40, int32, lanes).text}")
    is_nan = w.let(f"fcmp uno {x.typed}, {x.text}")
    kept = w.let(f"select {mask_type(x)} {is_nan}, {wide} {quiet}, {wide} {rounded}")
    return Value(w.let(f"trunc {wide} {kept} to {vector('i16', lanes)}"), bfloat16, lanes)
