"""Functions of integers in C, for both widths: they wrap, and division by 0 gives 0."""

from __future__ import annotations

INTEGERS = {
    "i32": {"INT": "int32_t", "UINT": "uint32_t", "SHORT": "i32", "BITS": "32"},
    "i64": {"INT": "int64_t", "UINT": "uint64_t", "SHORT": "i64", "BITS": "64"},
}
TEXTS = {
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
/* toward 0; by 0 it is 0 */
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
