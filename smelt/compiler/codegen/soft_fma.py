"""A fused multiply-add of doubles by integers alone, as LLVM text: `FMA`.

The product of two fractions has 106 bits, in two words of 64. The addend is moved to the same
place, what falls off at the lower end leaves a 1 in the last bit, and the sum is rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from smelt.compiler.codegen.writer import Module, Writer

Wide = tuple[str, str]  # the upper and the lower word of an integer of 128 bits
_SIGN, _ABS, _INF = -1 << 63, (1 << 63) - 1, 2047 << 52
_MASK, _ONE = (1 << 52) - 1, 1 << 52
_TOP = 125  # the place of the first one of both terms: their sum has room, and a sign


def _text() -> str:
    module = Module()
    w = Writer(module)
    a, b, c = (w.let(f"bitcast double %{name} to i64") for name in "abc")
    x, y, z = (w.let(f"and i64 {bits}, {_ABS}") for bits in (a, b, c))
    odd = [
        w.let(test)
        for size in (x, y)
        for test in (f"icmp eq i64 {size}, 0", f"icmp uge i64 {size}, {_INF}")
    ]
    with _leaving(w, _any(w, odd)):
        product = w.let("fmul double %a, %b")
        w.do(f"ret double {w.let(f'fadd double {product}, %c')}")
    with _leaving(w, w.let(f"icmp uge i64 {z}, {_INF}")):
        w.do("ret double %c")
    (ma, ea), (mb, eb), (mc, ec) = (_parts(w, size) for size in (x, y, z))
    term, power = _normal(w, _product(w, ma, mb), w.let(f"add i64 {ea}, {eb}"), -2150)
    other, addend_power = _normal(w, ("0", mc), ec, -1075)
    nothing = w.let(f"icmp eq i64 {mc}, 0")
    addend_power = _choose(w, nothing, power, addend_power)
    gap = w.let(f"sub i64 {power}, {addend_power}")
    first = w.let(f"icmp sge i64 {gap}, 0")
    size = _choose(w, first, gap, w.let(f"sub i64 0, {gap}"))
    shift = _choose(w, w.let(f"icmp ult i64 {size}, 127"), size, "127")
    upper, lower = _choose_wide(w, first, term, other), _choose_wide(w, first, other, term)
    lower = _shifted_to_odd(w, lower, shift)
    exponent = _choose(w, first, power, addend_power)
    product_sign = w.let(f"and i64 {w.let(f'xor i64 {a}, {b}')}, {_SIGN}")
    addend_sign = w.let(f"and i64 {c}, {_SIGN}")
    same = w.let(f"icmp eq i64 {product_sign}, {addend_sign}")
    difference = _minus(w, upper, lower)
    negative = w.let(f"icmp slt i64 {difference[0]}, 0")
    distance = _choose_wide(w, negative, _minus(w, ("0", "0"), difference), difference)
    total = _choose_wide(w, same, _plus(w, upper, lower), distance)
    upper_sign = _choose(w, first, product_sign, addend_sign)
    flipped = _choose(w, negative, w.let(f"xor i64 {upper_sign}, {_SIGN}"), upper_sign)
    sign = _choose(w, same, product_sign, flipped)
    with _leaving(w, w.let(f"icmp eq i64 {w.let(f'or i64 {total[0]}, {total[1]}')}, 0")):
        w.do("ret double 0.0")
    w.do(f"ret double {_rounded(w, total, exponent, sign)}")
    w.finish("define internal double @fma(double %a, double %b, double %c) nounwind")
    return module.functions[0]


@contextmanager
def _leaving(w: Writer, condition: str) -> Iterator[None]:
    """Opens a block that runs if the condition holds, and returns from the function."""
    body, after, known = w.fresh("leave"), w.fresh("on"), dict(w.known)
    w.do(f"br i1 {condition}, label %{body}, label %{after}")
    w.block(body)
    yield
    w.known = known
    w.block(after)


def _any(w: Writer, conditions: list[str]) -> str:
    result, *rest = conditions
    for one in rest:
        result = w.let(f"or i1 {result}, {one}")
    return result


def _choose(w: Writer, condition: str, yes: str, no: str) -> str:
    return w.let(f"select i1 {condition}, i64 {yes}, i64 {no}")


def _choose_wide(w: Writer, condition: str, yes: Wide, no: Wide) -> Wide:
    return _choose(w, condition, yes[0], no[0]), _choose(w, condition, yes[1], no[1])


def _parts(w: Writer, size: str) -> tuple[str, str]:
    """Returns the integer and the biased exponent that make a number of that size."""
    biased = w.let(f"lshr i64 {size}, 52")
    subnormal = w.let(f"icmp eq i64 {biased}, 0")
    full = w.let(f"or i64 {w.let(f'and i64 {size}, {_MASK}')}, {_ONE}")
    return _choose(w, subnormal, size, full), _choose(w, subnormal, "1", biased)


def _product(w: Writer, a: str, b: str) -> Wide:
    """Returns the product of two words, from those of their halves."""
    half = (1 << 32) - 1
    (a_low, a_high), (b_low, b_high) = (
        (w.let(f"and i64 {one}, {half}"), w.let(f"lshr i64 {one}, 32")) for one in (a, b)
    )
    low = w.let(f"mul i64 {a_low}, {b_low}")
    middle = w.let(f"add i64 {w.let(f'mul i64 {a_high}, {b_low}')}, {w.let(f'lshr i64 {low}, 32')}")
    less = w.let(f"and i64 {middle}, {half}")
    other = w.let(f"add i64 {w.let(f'mul i64 {a_low}, {b_high}')}, {less}")
    high = w.let(
        f"add i64 {w.let(f'mul i64 {a_high}, {b_high}')}, {w.let(f'lshr i64 {middle}, 32')}"
    )
    high = w.let(f"add i64 {high}, {w.let(f'lshr i64 {other}, 32')}")
    bottom = w.let(f"and i64 {low}, {half}")
    return high, w.let(f"or i64 {w.let(f'shl i64 {other}, 32')}, {bottom}")


def _zeros(w: Writer, x: Wide) -> str:
    """Returns how many zeros an integer begins with."""
    high, low = (w.call("i64", "llvm.ctlz.i64", f"i64 {word}", "i1 false") for word in x)
    empty = w.let(f"icmp eq i64 {x[0]}, 0")
    return _choose(w, empty, w.let(f"add i64 {low}, 64"), high)


def _shifted_up(w: Writer, x: Wide, count: str) -> Wide:
    """Returns an integer times 2^count, for counts below 128."""
    far = w.let(f"icmp uge i64 {count}, 64")
    within = w.let(f"and i64 {count}, 63")
    moved = w.let(f"shl i64 {x[1]}, {within}")
    joined = w.call("i64", "llvm.fshl.i64", f"i64 {x[0]}", f"i64 {x[1]}", f"i64 {within}")
    return _choose(w, far, moved, joined), _choose(w, far, "0", moved)


def _shifted_down(w: Writer, x: Wide, count: str) -> Wide:
    """Returns an integer over 2^count without what is behind the point, for counts below 128."""
    far = w.let(f"icmp uge i64 {count}, 64")
    within = w.let(f"and i64 {count}, 63")
    moved = w.let(f"lshr i64 {x[0]}, {within}")
    joined = w.call("i64", "llvm.fshr.i64", f"i64 {x[0]}", f"i64 {x[1]}", f"i64 {within}")
    return _choose(w, far, "0", moved), _choose(w, far, moved, joined)


def _shifted_to_odd(w: Writer, x: Wide, count: str) -> Wide:
    """Returns an integer over 2^count; its last bit is 1 if it is inexact."""
    high, low = _shifted_down(w, x, count)
    back = _shifted_up(w, (high, low), count)
    lost = [w.let(f"icmp ne i64 {one}, {two}") for one, two in zip(back, x, strict=True)]
    return high, w.let(f"or i64 {low}, {w.let(f'zext i1 {_any(w, lost)} to i64')}")


def _normal(w: Writer, x: Wide, power: str, scale: int) -> tuple[Wide, str]:
    """Returns an integer with its first one at _TOP, and the power of two that it then counts."""
    shift = w.let(f"sub i64 {_zeros(w, x)}, {127 - _TOP}")
    moved = w.let(f"sub i64 {w.let(f'add i64 {power}, {scale}')}, {shift}")
    return _shifted_up(w, x, shift), moved


def _plus(w: Writer, a: Wide, b: Wide) -> Wide:
    low = w.let(f"add i64 {a[1]}, {b[1]}")
    carry = w.let(f"zext i1 {w.let(f'icmp ult i64 {low}, {b[1]}')} to i64")
    return w.let(f"add i64 {w.let(f'add i64 {a[0]}, {b[0]}')}, {carry}"), low


def _minus(w: Writer, a: Wide, b: Wide) -> Wide:
    low = w.let(f"sub i64 {a[1]}, {b[1]}")
    borrow = w.let(f"zext i1 {w.let(f'icmp ult i64 {a[1]}, {b[1]}')} to i64")
    return w.let(f"sub i64 {w.let(f'sub i64 {a[0]}, {b[0]}')}, {borrow}"), low


def _rounded(w: Writer, total: Wide, exponent: str, sign: str) -> str:
    """Returns +-total * 2^exponent as a double, rounded to nearest, ties to even."""
    zeros = _zeros(w, total)
    high, low = _shifted_up(w, total, zeros)
    below = w.let(f"zext i1 {w.let(f'icmp ne i64 {low}, 0')} to i64")
    fraction = w.let(f"or i64 {high}, {below}")  # its first one at 63
    biased = w.let(f"sub i64 {w.let(f'add i64 {exponent}, {127 + 1023}')}, {zeros}")
    usual = w.let(f"icmp sgt i64 {biased}, 0")
    missing = _choose(w, usual, "0", w.let(f"sub i64 1, {biased}"))
    wanted = w.let(f"add i64 {missing}, 11")
    extra = _choose(w, w.let(f"icmp ult i64 {wanted}, 66"), wanted, "66")
    kept_high, kept = _shifted_down(w, ("0", fraction), extra)
    half = _shifted_up(w, ("0", "1"), w.let(f"sub i64 {extra}, 1"))
    whole = _shifted_up(w, (kept_high, kept), extra)
    rest = _minus(w, ("0", fraction), whole)
    above = _is_less(w, half, rest)
    tie = w.let(
        f"and i1 {w.let(f'icmp eq i64 {half[0]}, {rest[0]}')}, "
        f"{w.let(f'icmp eq i64 {half[1]}, {rest[1]}')}"
    )
    odd = w.let(f"icmp ne i64 {w.let(f'and i64 {kept}, 1')}, 0")
    up = w.let(f"or i1 {above}, {w.let(f'and i1 {tie}, {odd}')}")
    bits = w.let(f"add i64 {kept}, {w.let(f'zext i1 {up} to i64')}")
    raised = w.let(f"shl i64 {w.let(f'sub i64 {biased}, 1')}, 52")
    bits = w.let(f"add i64 {bits}, {_choose(w, usual, raised, '0')}")
    bits = _choose(w, w.let(f"icmp sge i64 {biased}, 2047"), str(_INF), bits)
    return w.let(f"bitcast i64 {w.let(f'or i64 {bits}, {sign}')} to double")


def _is_less(w: Writer, a: Wide, b: Wide) -> str:
    high = w.let(f"icmp ult i64 {a[0]}, {b[0]}")
    equal = w.let(f"icmp eq i64 {a[0]}, {b[0]}")
    low = w.let(f"and i1 {equal}, {w.let(f'icmp ult i64 {a[1]}, {b[1]}')}")
    return w.let(f"or i1 {high}, {low}")


FMA = _text()
