"""Functions of floats in C: templates for both widths, with capitals for what differs."""

from __future__ import annotations

FORMATS = {
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
TEXTS = {
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
        return x; /* it has no fraction, or is not a number */
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
/* a minus b times the truncated quotient: C's fmod, exact */
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
}
TO_INTEGER = """
/* truncated; out of range it saturates, nan becomes 0 */
SUPPORT INT INTNAME_from_SHORT(FLOAT x)
{
    if (x != x)
        return 0;
    return x >= LIMIT ? INTBITS_MAX : x < -LIMIT ? INTBITS_MIN : (INT)x;
}"""
