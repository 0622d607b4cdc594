"""The differences from PyTorch that are meant, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Known:
    """Differences that have one reason.

    Args:
        database: of which PyTorch database.
        names: a pattern of the database's names.
        checks: a pattern of what is compared.
        dtypes: a pattern of dtypes.
        words: a pattern of what the comparison says.
        reason: a convention of docs/differences.md, or what PyTorch has wrong.
    """

    database: str
    names: str
    checks: str
    dtypes: str
    words: str
    reason: str

    def covers(self, case: Any, what: str) -> bool:
        """Whether this is the reason of a difference."""
        return self.database == case.database and all(
            re.fullmatch(pattern, text)
            for pattern, text in (
                (self.names, case.name),
                (self.checks, case.check),
                (self.dtypes, case.dtype),
                (self.words, what),
            )
        )


_ROUNDED = "PyTorch rounds sums and steps in between to 16 bits; Smelt computes them in float32"

KNOWN: tuple[Known, ...] = (
    Known(
        *("op_db", "arange", "value|compiled", "int32", "(shape|value): .*"),
        "PyTorch counts int32 elements by the floats, int64 ones by the integers; Smelt by these",
    ),
    Known(
        "op_db",
        "nn.functional.(conv_transpose[12]d|hinge_embedding_loss|scaled_dot_product_attention"
        "|soft_margin_loss)",
        "value|compiled",
        "b?float16",
        "value: .*",
        _ROUNDED,
    ),
    Known(
        *("op_db", "nn.functional.hardsigmoid", "first( compiled)?", "float64", "value: .*"),
        "PyTorch's slope, 1/6, is rounded to float32",
    ),
    Known(
        *("op_db", "sort|topk", "value|compiled", ".*", "value: result 1 .*"),
        "PyTorch leaves the order of equal elements open; Smelt keeps the first one first",
    ),
    Known(
        *("op_db", "argsort", "value|compiled", ".*", "value: result 0 .*"),
        "PyTorch leaves the order of equal elements open; Smelt keeps the first one first",
    ),
    Known(
        "refusals",
        "atan2|clamp_max|clamp_min|eq|ge|gt|heaviside|isclose|le|logical_and|logical_or|lt"
        "|max.binary|maximum|min.binary|minimum|ne|pow|remainder",
        "refused",
        "",
        "accepted: PyTorch says ",
        "Smelt's functions of two operands take numbers in the place of tensors",
    ),
    Known(
        *("refusals", "arange", "refused", "", "accepted: .* inconsistent with step sign"),
        "a range whose end lies the other way is empty, as in NumPy",
    ),
    Known(
        *("refusals", "mean|multinomial", "refused", "", "accepted: .*float.*"),
        "functions that make floats take integers",
    ),
    Known(
        *("refusals", "neg", "refused", "", "accepted: PyTorch says Negation.*"),
        "arithmetic on bools happens in int64",
    ),
    Known(
        *("refusals", "multinomial", "refused", "", "accepted: .*cannot sample n_sample.*"),
        "no draws are an empty result",
    ),
    Known(
        *("refusals", "NLLLoss|scatter_add", "refused", "", "accepted: .*(type|dtype).*"),
        "floats of another width take the first operand's dtype, or the common one",
    ),
    Known(
        *("refusals", "masked_fill", "refused", "", "accepted: .*0-dimensional value tensor.*"),
        "the value broadcasts",
    ),
    Known(
        *("refusals", "nn.functional.embedding", "refused", "", "accepted: .*must be 2-D"),
        "a row of the weight may have any shape",
    ),
    Known(
        *(
            "refusals",
            "nn.functional.max_pool1d",
            "refused",
            "",
            "accepted: Py.*Expected 2D or 3D.*",
        ),
        "PyTorch takes one row without channels, (0, L), for a batch; it may be empty",
    ),
    Known(
        *(
            "refusals",
            "nn.functional.triplet_margin_loss",
            "refused",
            "",
            "accepted: .*margin must.*",
        ),
        "a margin may have any sign",
    ),
)
