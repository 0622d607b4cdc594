"""Fused multiply-adds and square roots in C, rounded once as IEEE 754 says.

If the C compiler says that the target has an instruction, it is used; if not, integer arithmetic.
"""

from __future__ import annotations

FLOAT_TEXTS = {  # for both widths, as in `floats.py`
    "rounded": """
/* +-fraction * 2^exponent, rounded to nearest, ties to even; the last bit is sticky */
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

TEXTS = {
    "fma_f32": """
/* a * b + c, rounded once */
SUPPORT float fma_f32(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__) \\
    || defined(__FP_FAST_FMAF) || defined(__riscv_flen)
    return __builtin_fmaf(a, b, c);
#elif defined(__SSE2__)
    /* doubles are as fast here: the product is exact, the sum is rounded to odd (Boldo and
       Melquiond 2008), so that it can be rounded again */
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
/* the square root, rounded once; without an instruction: Heron's method, then exact in integers */
SUPPORT float sqrt_f32(float x)
{
#if defined(__NO_MATH_ERRNO__)
    return __builtin_sqrtf(x);
#elif defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP) && (__ARM_FP & 4)
    float y; /* the instruction: the builtin would call sqrtf, to set errno */
    __asm__("vsqrt.f32 %0, %1" : "=t"(y) : "t"(x));
    return y;
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
}
