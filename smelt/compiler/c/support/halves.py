"""Conversions of 16-bit floats in C; their bits are `uint16_t`."""

from __future__ import annotations

TEXTS = {
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
/* rounded to odd: the last bit is 1 unless the float is exact, so it can be rounded again */
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
