"""Support: the small C functions behind operators that C99 has not, or not without its library.

Each stands once in a file that uses it. Those for floats are written for both widths, with words in
capitals for what differs. They are exact: a fused multiply-add and a square root round once, as
IEEE 754 says. Where the compiler says that the target has an instruction, it is taken.
"""

from __future__ import annotations

import re

from smelt.errors import CompileError

PRELUDE = """\
#if defined(__FAST_MATH__)
#error "no -ffast-math: results would not be those of the network; leave it out"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 2
#error "floats must be rounded to their own width: add -msse2 -mfpmath=sse"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "no-tree-loop-distribute-patterns")
#endif
#if defined(__GNUC__)
#define SUPPORT static inline __attribute__((unused)) /* where there is an instruction instead */
#define INFINITY_ __builtin_inff()
#define NAN_ __builtin_nanf("")
#else
#define SUPPORT static inline
#define INFINITY_ (1.0f / 0.0f)
#define NAN_ (0.0f / 0.0f)
#endif
"""

_FORMATS = {
    "f32": {
        "FLOAT": "float", "UINT": "uint32_t", "SHORT": "f32", "LETTER": "f", "FRACTION": "23",
        "BIAS": "127", "TOP": "255", "SIGN": "UINT32_C(0x80000000)", "BITS": "32",
        "WHOLE": "8388608.0f", "ONE": "1.0f", "ZERO": "0.0f", "HALF": "0.5f",
    },
    "f64": {
        "FLOAT": "double", "UINT": "uint64_t", "SHORT": "f64", "LETTER": "", "FRACTION": "52",
        "BIAS": "1023", "TOP": "2047", "SIGN": "UINT64_C(0x8000000000000000)", "BITS": "64",
        "WHOLE": "4503599627370496.0", "ONE": "1.0", "ZERO": "0.0", "HALF": "0.5",
    },
}  # fmt: skip
_INTEGERS = {
    "i32": {"INT": "int32_t", "UINT": "uint32_t", "SHORT": "i32", "BITS": "32"},
    "i64": {"INT": "int64_t", "UINT": "uint64_t", "SHORT": "i64", "BITS": "64"},
}

_FLOAT_TEXTS = {
    "bits": """
SUPPORT UINT bits_SHORT(FLOAT x)
{
    union { FLOAT number; UINT bits; } both;
    both.number = x;
    return both.bits;
}""",
    "from_bits": """
SUPPORT FLOAT from_bits_SHORT(UINT bits)
{
    union { UINT bits; FLOAT number; } both;
    both.bits = bits;
    return both.number;
}""",
    "abs": """
SUPPORT FLOAT abs_SHORT(FLOAT x)
{
    return from_bits_SHORT(bits_SHORT(x) & ~SIGN);
}""",
    "with_sign": """
/* the magnitude with the sign of another number */
SUPPORT FLOAT with_sign_SHORT(FLOAT magnitude, FLOAT sign)
{
    return from_bits_SHORT((bits_SHORT(magnitude) & ~SIGN) | (bits_SHORT(sign) & SIGN));
}""",
    "isnan": """
SUPPORT bool isnan_SHORT(FLOAT x)
{
    return x != x;
}""",
    "isinf": """
SUPPORT bool isinf_SHORT(FLOAT x)
{
    return (bits_SHORT(x) & ~SIGN) == (UINT)TOP << FRACTION;
}""",
    "sign": """
SUPPORT FLOAT sign_SHORT(FLOAT x)
{
    return x > ZERO ? ONE : x < ZERO ? -ONE : x == ZERO ? ZERO : x;
}""",
    "maximum": """
/* nan if either is */
SUPPORT FLOAT maximum_SHORT(FLOAT a, FLOAT b)
{
    return a < b || b != b ? b : a;
}""",
    "minimum": """
/* nan if either is */
SUPPORT FLOAT minimum_SHORT(FLOAT a, FLOAT b)
{
    return a > b || b != b ? b : a;
}""",
    "trunc": """
SUPPORT FLOAT trunc_SHORT(FLOAT x)
{
    if (!(abs_SHORT(x) < WHOLE))
        return x; /* it has no fraction, or is no number */
    return with_sign_SHORT((FLOAT)(intBITS_t)x, x);
}""",
    "floor": """
SUPPORT FLOAT floor_SHORT(FLOAT x)
{
    const FLOAT whole = trunc_SHORT(x);
    return whole > x ? whole - ONE : whole;
}""",
    "ceil": """
SUPPORT FLOAT ceil_SHORT(FLOAT x)
{
    const FLOAT whole = trunc_SHORT(x);
    return whole < x ? with_sign_SHORT(whole + ONE, x) : whole;
}""",
    "round": """
/* to the nearest integer, halves to the even one */
SUPPORT FLOAT round_SHORT(FLOAT x)
{
    const FLOAT size = abs_SHORT(x);
    return size < WHOLE ? with_sign_SHORT((size + WHOLE) - WHOLE, x) : x;
}""",
    "remainder": """
/* a minus b times the quotient without its fraction: C's fmod, exact */
SUPPORT FLOAT remainder_SHORT(FLOAT a, FLOAT b)
{
    const UINT sign = bits_SHORT(a) & SIGN, one = (UINT)1 << FRACTION;
    UINT x = bits_SHORT(a) & ~SIGN, y = bits_SHORT(b) & ~SIGN;
    int ex = (int)(x >> FRACTION), ey = (int)(y >> FRACTION);
    if (ex == TOP || y == 0 || b != b)
        return (a * b) / (a * b);
    if (x < y)
        return a;
    x = ex > 0 ? (x & (one - 1)) | one : x;
    y = ey > 0 ? (y & (one - 1)) | one : y;
    ex += ex == 0;
    ey += ey == 0;
    for (; x < one; x <<= 1)
        ex--;
    for (; y < one; y <<= 1)
        ey--;
    for (; ex > ey; ex--)
        x = (x >= y ? x - y : x) << 1;
    x = x >= y ? x - y : x;
    if (x == 0)
        return from_bits_SHORT(sign);
    for (; x < one; x <<= 1)
        ex--;
    if (ex > 0)
        return from_bits_SHORT(sign | (x - one + ((UINT)ex << FRACTION)));
    return from_bits_SHORT(sign | (x >> (1 - ex)));
}""",
    "mod": """
/* the remainder with the sign of b, as in Python */
SUPPORT FLOAT mod_SHORT(FLOAT a, FLOAT b)
{
    const FLOAT rest = remainder_SHORT(a, b);
    if (rest == ZERO)
        return with_sign_SHORT(ZERO, b);
    return (rest < ZERO) != (b < ZERO) ? rest + b : rest;
}""",
    "floordiv": """
/* the quotient rounded down, as in Python */
SUPPORT FLOAT floordiv_SHORT(FLOAT a, FLOAT b)
{
    const FLOAT rest = remainder_SHORT(a, b);
    FLOAT quotient = (a - rest) / b, down;
    if (b == ZERO)
        return a / b;
    if (rest != ZERO && (rest < ZERO) != (b < ZERO))
        quotient -= ONE;
    down = floor_SHORT(quotient);
    if (quotient - down > HALF)
        down += ONE;
    return quotient == ZERO ? with_sign_SHORT(ZERO, a / b) : down;
}""",
    "rounded": """
/* +-fraction * 2^exponent, rounded to nearest, ties to even; the last bit stands for all below */
SUPPORT FLOAT rounded_SHORT(UINT sign, uint64_t fraction, int exponent)
{
    int extra, step;
    UINT bits;
    for (step = 32; step > 0; step /= 2)
        if (fraction >> (64 - step) == 0) {
            fraction <<= step;
            exponent -= step;
        }
    exponent += 63 + BIAS; /* of the first bit, as it is kept */
    if (exponent >= TOP)
        return from_bits_SHORT(sign | ((UINT)TOP << FRACTION));
    extra = 63 - FRACTION + (exponent > 0 ? 0 : 1 - exponent);
    if (extra > 64)
        return from_bits_SHORT(sign);
    bits = extra < 64 ? (UINT)(fraction >> extra) : 0;
    {
        const uint64_t half = (uint64_t)1 << (extra - 1);
        const uint64_t rest = extra < 64 ? fraction & (2 * half - 1) : fraction;
        if (rest > half || (rest == half && (bits & 1)))
            bits++;
    }
    if (exponent > 0)
        bits += (UINT)(exponent - 1) << FRACTION;
    return from_bits_SHORT(sign | bits);
}""",
    "parts": """
/* the integer and the power of two that make a finite number */
SUPPORT uint64_t parts_SHORT(FLOAT x, int *exponent)
{
    const UINT bits = bits_SHORT(x) & ~SIGN, one = (UINT)1 << FRACTION;
    const int kept = (int)(bits >> FRACTION);
    *exponent = (kept > 0 ? kept : 1) - BIAS - FRACTION;
    return kept > 0 ? (bits & (one - 1)) | one : bits;
}""",
}

_TEXTS = {
    "fma_f32": """
/* a * b + c, rounded once */
SUPPORT float fma_f32(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__) \\
    || defined(__FP_FAST_FMAF) || defined(__riscv_flen)
    return __builtin_fmaf(a, b, c);
#elif defined(__SSE2__)
    /* doubles are as quick here: the product is exact, the sum is rounded to odd (Boldo and
       Melquiond 2008), so that rounding it again goes not wrong */
    union { double number; uint64_t bits; } sum;
    const double product = (double)a * (double)b, wide = (double)c;
    double back, lost;
    sum.number = product + wide;
    back = sum.number - product;
    lost = (product - (sum.number - back)) + (wide - back);
    if ((lost > 0.0 || lost < 0.0) && !(sum.bits & 1))
        sum.bits = (lost > 0.0) == (sum.number > 0.0) ? sum.bits + 1 : sum.bits - 1;
    return (float)sum.number;
#else
    int ea, eb, ec, gap;
    uint64_t product, addend, sum;
    uint32_t sign = (bits_f32(a) ^ bits_f32(b)) & UINT32_C(0x80000000);
    const uint32_t other = bits_f32(c) & UINT32_C(0x80000000);
    if (a == 0.0f || b == 0.0f || !(abs_f32(a) < INFINITY_ && abs_f32(b) < INFINITY_))
        return a * b + c;
    if (!(abs_f32(c) < INFINITY_))
        return c;
    product = parts_f32(a, &ea) * parts_f32(b, &eb);
    ea += eb;
    addend = parts_f32(c, &ec);
    for (gap = 32; gap > 0; gap /= 2) {
        if (product >> (62 - gap) == 0) {
            product <<= gap;
            ea -= gap;
        }
        if (addend >> (62 - gap) == 0) {
            addend <<= gap;
            ec -= gap;
        }
    }
    if (addend == 0)
        return rounded_f32(sign, product, ea);
    gap = ea - ec;
    if (gap >= 0) {
        const uint64_t lost = gap > 62 ? addend : addend & (((uint64_t)1 << gap) - 1);
        addend = (gap > 62 ? 0 : addend >> gap) | (lost != 0);
    } else {
        const uint64_t lost = -gap > 62 ? product : product & (((uint64_t)1 << -gap) - 1);
        product = (-gap > 62 ? 0 : product >> -gap) | (lost != 0);
        ea = ec;
    }
    if (sign == other)
        sum = product + addend;
    else if (product >= addend)
        sum = product - addend;
    else {
        sum = addend - product;
        sign = other;
    }
    return sum == 0 ? 0.0f : rounded_f32(sign, sum, ea);
#endif
}""",
    "fma_f64": """
/* a * b + c, rounded once */
SUPPORT double fma_f64(double a, double b, double c)
{
#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMA) \\
    || (defined(__riscv_flen) && __riscv_flen >= 64)
    return __builtin_fma(a, b, c);
#else
    int ea, eb, ec, gap;
    uint64_t x, y, z, high, low, more, less, middle;
    uint64_t sign = (bits_f64(a) ^ bits_f64(b)) & UINT64_C(0x8000000000000000);
    const uint64_t other = bits_f64(c) & UINT64_C(0x8000000000000000);
    if (a == 0.0 || b == 0.0
        || !(abs_f64(a) < (double)INFINITY_ && abs_f64(b) < (double)INFINITY_))
        return a * b + c;
    if (!(abs_f64(c) < (double)INFINITY_))
        return c;
    x = parts_f64(a, &ea);
    y = parts_f64(b, &eb);
    z = parts_f64(c, &ec);
    while (x >> 52 == 0)
        x <<= 1, ea--;
    while (y >> 52 == 0)
        y <<= 1, eb--;
    while (z != 0 && z >> 52 == 0)
        z <<= 1, ec--;
    /* the product in 128 bits, its first one at 104 or 105; the addend with its first one at 105 */
    low = (x & UINT64_C(0xffffffff)) * (y & UINT64_C(0xffffffff));
    middle = (x >> 32) * (y & UINT64_C(0xffffffff)) + (low >> 32);
    less = (x & UINT64_C(0xffffffff)) * (y >> 32) + (middle & UINT64_C(0xffffffff));
    high = (x >> 32) * (y >> 32) + (middle >> 32) + (less >> 32);
    low = (less << 32) | (low & UINT64_C(0xffffffff));
    ea += eb;
    if (high >> 41 == 0) {
        high = (high << 1) | (low >> 63);
        low <<= 1;
        ea--;
    }
    high = (high << 16) | (low >> 48); /* first one at 121 */
    low <<= 16;
    ea -= 16;
    more = z << 5; /* first one at 121 */
    less = 0;
    ec -= 69;
    if (z != 0) {
        gap = ea - ec;
        if (gap > 0) {
            for (; gap > 0; gap -= (int)middle) {
                middle = gap > 63 ? 63 : (uint64_t)gap;
                less = (less >> middle) | (more << (64 - middle))
                    | ((less & (((uint64_t)1 << middle) - 1)) != 0);
                more >>= middle;
                if (more == 0 && less <= 1)
                    break;
            }
        } else if (gap < 0) {
            ea = ec;
            for (gap = -gap; gap > 0; gap -= (int)middle) {
                middle = gap > 63 ? 63 : (uint64_t)gap;
                low = (low >> middle) | (high << (64 - middle))
                    | ((low & (((uint64_t)1 << middle) - 1)) != 0);
                high >>= middle;
                if (high == 0 && low <= 1)
                    break;
            }
        }
        if (sign == other) {
            low += less;
            high += more + (low < less);
        } else if (high > more || (high == more && low >= less)) {
            high -= more + (low < less);
            low -= less;
        } else {
            middle = less - low;
            high = more - high - (less < low);
            low = middle;
            sign = other;
        }
    }
    if ((high | low) == 0)
        return 0.0;
    while (high >> 63 == 0) {
        high = (high << 1) | (low >> 63);
        low <<= 1;
        ea--;
    }
    return rounded_f64(sign, high | (low != 0), ea + 64);
#endif
}""",
    "sqrt_f32": """
/* the square root, rounded once; without an instruction: Heron's rule, then exact in integers */
SUPPORT float sqrt_f32(float x)
{
#if defined(__NO_MATH_ERRNO__)
    return __builtin_sqrtf(x);
#else
    const float wide = x < 1.17549435e-38f ? x * 16777216.0f : x; /* 2^24 */
    const uint32_t bits = bits_f32(wide);
    const int exponent = (int)(bits >> 23 & 255) - 127, odd = exponent & 1;
    const float m = from_bits_f32((bits & UINT32_C(0x7fffff)) | UINT32_C(0x3f800000))
        * (float)(1 + odd); /* in [1, 4) */
    const int64_t square = (int64_t)(m * 8388608.0f) << 23; /* m 2^46 */
    float y = from_bits_f32((bits_f32(m) >> 1) + UINT32_C(0x1fbd1df5));
    int64_t root;
    y = 0.5f * (y + m / y);
    y = 0.5f * (y + m / y);
    y = 0.5f * (y + m / y);
    root = (int64_t)(y * 8388608.0f);
    root -= root * root > square;
    root += (root + 1) * (root + 1) <= square;
    root += square - root * root > root;
    y = (float)root * from_bits_f32((uint32_t)((exponent - odd) / 2 + 127 - 23) << 23);
    y = wide == x ? y : y * 0.000244140625f; /* 2^-12 */
    return x > 0.0f && x < INFINITY_ ? y : x < 0.0f ? NAN_ : x;
#endif
}""",
    "sqrt_f64": """
/* the square root, rounded once; without an instruction: a digit at a time */
SUPPORT double sqrt_f64(double x)
{
#if defined(__NO_MATH_ERRNO__)
    return __builtin_sqrt(x);
#else
    int exponent, step;
    uint64_t square, root = 0, rest = 0;
    if (!(x > 0.0 && x < (double)INFINITY_))
        return x < 0.0 ? (double)NAN_ : x;
    square = parts_f64(x, &exponent);
    while (square >> 53 == 0)
        square <<= 1, exponent--;
    if (exponent & 1)
        square <<= 1, exponent--;
    for (step = 0; step < 56; step++) { /* two bits of the number give one of the root */
        const uint64_t two = step < 28 ? square >> (54 - 2 * step) & 3 : 0;
        rest = (rest << 2) | two;
        root <<= 1;
        if (rest > 2 * root) {
            rest -= 2 * root + 1;
            root++;
        }
    }
    return rounded_f64(0, (root << 1) | (rest != 0), exponent / 2 - 29);
#endif
}""",
    "f32_from_f16": """
SUPPORT float f32_from_f16(uint16_t half)
{
    const uint32_t size = half & 0x7fffu, sign = (uint32_t)(half & 0x8000u) << 16;
    const float scaled = from_bits_f32(size << 13) * 5.192296858534828e33f; /* 2^112 */
    const uint32_t special = (size << 13) | UINT32_C(0x7f800000) | (size > 0x7c00u ? 1u << 22 : 0u);
    return from_bits_f32((size >= 0x7c00u ? special : bits_f32(scaled)) | sign);
}""",
    "f16_from_f32": """
/* to nearest, ties to even */
SUPPORT uint16_t f16_from_f32(float x)
{
    const uint32_t bits = bits_f32(x), size = bits & UINT32_C(0x7fffffff), last = size >> 13;
    const uint32_t normal = (size - UINT32_C(939520000) - 1u + (last & 1u)) >> 13;
    const uint32_t small = bits_f32(from_bits_f32(size) + 0.5f) - UINT32_C(0x3f000000);
    uint32_t half = size < UINT32_C(0x38800000) ? small : normal;
    if (size >= UINT32_C(1199566848))
        half = 0x7c00u;
    if (size > UINT32_C(0x7f800000))
        half = (last & 1023u) | 0x7e00u;
    return (uint16_t)(half | (bits >> 16 & 0x8000u));
}""",
    "f32_from_bf16": """
SUPPORT float f32_from_bf16(uint16_t half)
{
    return from_bits_f32((uint32_t)half << 16);
}""",
    "bf16_from_f32": """
/* to nearest, ties to even; nan stays nan */
SUPPORT uint16_t bf16_from_f32(float x)
{
    const uint32_t bits = bits_f32(x);
    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}""",
    "odd_f32_from_f64": """
/* the float whose last bit is 1 unless it is exact: rounding it again goes not wrong */
SUPPORT float odd_f32_from_f64(double x)
{
    const float near = (float)x;
    const double back = abs_f64((double)near), size = abs_f64(x);
    const uint32_t bits = bits_f32(near);
    if (back == size || x != x || (bits & 1u))
        return near;
    return from_bits_f32(back < size ? bits + 1u : bits - 1u);
}""",
}

_INTEGER_TEXTS = {
    "add": """
/* integers wrap */
SUPPORT INT add_SHORT(INT a, INT b)
{
    return (INT)((UINT)a + (UINT)b);
}""",
    "sub": """
SUPPORT INT sub_SHORT(INT a, INT b)
{
    return (INT)((UINT)a - (UINT)b);
}""",
    "mul": """
SUPPORT INT mul_SHORT(INT a, INT b)
{
    return (INT)((UINT)a * (UINT)b);
}""",
    "neg": """
SUPPORT INT neg_SHORT(INT x)
{
    return (INT)(0u - (UINT)x);
}""",
    "abs": """
SUPPORT INT abs_SHORT(INT x)
{
    return x < 0 ? neg_SHORT(x) : x;
}""",
    "sign": """
SUPPORT INT sign_SHORT(INT x)
{
    return (INT)((x > 0) - (x < 0));
}""",
    "maximum": """
SUPPORT INT maximum_SHORT(INT a, INT b)
{
    return a > b ? a : b;
}""",
    "minimum": """
SUPPORT INT minimum_SHORT(INT a, INT b)
{
    return a < b ? a : b;
}""",
    "div": """
/* towards 0; by 0 it is 0 */
SUPPORT INT div_SHORT(INT a, INT b)
{
    return b == 0 ? 0 : b == -1 ? neg_SHORT(a) : a / b;
}""",
    "floordiv": """
/* down, as in Python; by 0 it is 0 */
SUPPORT INT floordiv_SHORT(INT a, INT b)
{
    const INT quotient = div_SHORT(a, b);
    const INT rest = sub_SHORT(a, mul_SHORT(quotient, b));
    return b != 0 && rest != 0 && (rest < 0) != (b < 0) ? quotient - 1 : quotient;
}""",
    "mod": """
/* with the sign of b, as in Python; by 0 it is 0 */
SUPPORT INT mod_SHORT(INT a, INT b)
{
    const INT rest = b == 0 || b == -1 ? 0 : a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}""",
    "shl": """
/* the count is taken modulo the width */
SUPPORT INT shl_SHORT(INT a, INT count)
{
    return (INT)((UINT)a << (count & (BITS - 1)));
}""",
    "shr": """
/* zeros come in from above; the count is taken modulo the width */
SUPPORT INT shr_SHORT(INT a, INT count)
{
    return (INT)((UINT)a >> (count & (BITS - 1)));
}""",
}

_TO_INTEGER = """
/* without its fraction; what is too large becomes the largest, nan becomes 0 */
SUPPORT INT INTNAME_from_SHORT(FLOAT x)
{
    if (x != x)
        return 0;
    return x >= LIMIT ? INTBITS_MAX : x < -LIMIT ? INTBITS_MIN : (INT)x;
}"""
_NAMES = re.compile(r"\b[a-z]+[a-z0-9_]*\b(?=\()")  # of what is called


def _filled(text: str, words: dict[str, str]) -> str:
    """Returns a text with its words in capitals replaced, the longest of those that fit."""
    pattern = "|".join(sorted(words, key=len, reverse=True))
    return re.sub(pattern, lambda found: words[found.group()], text).strip("\n")


def _all() -> dict[str, str]:
    texts = {name: text.strip("\n") for name, text in _TEXTS.items()}
    for short, words in _FORMATS.items():
        for name, text in _FLOAT_TEXTS.items():
            texts[f"{name}_{short}"] = _filled(text, words)
        for integer, more in _INTEGERS.items():
            power = int(more["BITS"]) - 1
            both = {
                "FLOAT": words["FLOAT"], "SHORT": short, "INTNAME": integer,
                "INTBITS": f"INT{more['BITS']}", "INT": more["INT"],
                "LIMIT": f"{float(1 << power):.1f}{words['LETTER']}",
            }  # fmt: skip
            texts[f"{integer}_from_{short}"] = _filled(_TO_INTEGER, both)
    for short, words in _INTEGERS.items():
        for name, text in _INTEGER_TEXTS.items():
            texts[f"{name}_{short}"] = _filled(text, words)
    return texts


FUNCTIONS = _all()


def needed(name: str) -> list[str]:
    """Returns the names of a function's own functions, those that it calls first, and itself.

    Raises CompileError when there is no such function.
    """
    if name not in FUNCTIONS:
        raise CompileError(f"{name} has no C code")
    found: list[str] = []
    for called in dict.fromkeys(_NAMES.findall(FUNCTIONS[name])):
        if called != name and called in FUNCTIONS:
            found += [one for one in needed(called) if one not in found]
    return [*found, name]
