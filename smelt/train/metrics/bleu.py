"""BLEU, computed by the library sacrebleu."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, MissingExtra, ShapeError
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.train.metrics.base import Metric
from smelt.train.metrics.labels import only_tensors

__all__ = ["BLEU"]

PAST = -1  # fills up sequences that are shorter than those of other batches; no token's number


class BLEU(Metric):
    """The BLEU score of translations, 0 to 100, as `sacrebleu` computes it from texts.

        BLEU = 100 min(1, exp(1 - r/c)) (p_1 p_2 p_3 p_4)^(1/4)

    with the share p_n of n-grams that are in the reference, and the lengths c of the translations
    and r of the references. It is a score of the whole corpus, not a mean over sentences.

    In an evaluation outputs and targets are token ids, (n, length) each, of any two lengths, and
    `decode` turns them into texts. `score` takes texts.

    Args:
        decode: (a list of token ids) -> a text, such as `vocabulary.decode`.
        end: the token that ends a text; it and the tokens after it are left out.
        ignore_index: tokens that are left out, such as padding.
        **options: those of `sacrebleu.metrics.BLEU`: tokenize, lowercase, smooth_method, ...

    Raises:
        MissingExtra: the library `sacrebleu` is not installed.

    Example:
        bleu = train.BLEU(vocabulary.decode, end=vocabulary["<end>"])
        train.evaluate(translate, data, bleu)
        print(bleu.signature)  # nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0
    """

    higher_is_better: bool | None = True
    rows = True

    @checked
    def __init__(
        self,
        decode: Callable[[list[int]], str] | None = None,
        *,
        end: int | None = None,
        ignore_index: int | None = -100,
        **options: Any,
    ) -> None:
        self.decode = decode
        self.end = end
        self.ignore_index = ignore_index
        self.options: dict[str, Any] = options
        self._scorer()  # refuses at once what it would refuse after the evaluation

    def _scorer(self) -> Any:
        try:
            from sacrebleu.metrics import BLEU as Scorer
        except ImportError:
            raise MissingExtra("BLEU", "metrics") from None
        try:
            return Scorer(**self.options)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"{self.name}: sacrebleu refuses the options ({error})") from None

    @property
    def signature(self) -> str:
        """The settings and the version that a reader needs to get the same score."""
        scorer = self._scorer()
        scorer.corpus_score(["a"], [["a"]])  # it counts the references before it can say how many
        return str(scorer.get_signature())

    def score(self, translations: Sequence[str], references: Sequence[str]) -> float:
        """Returns the score of texts.

        Args:
            translations: the texts to score.
            references: the correct text for each.

        Raises:
            ArgumentError: there are no texts, or the numbers of texts differ.
        """
        if isinstance(translations, str) or isinstance(references, str):
            raise ArgumentTypeError(f"{self.name}: give lists of texts, not a text")
        if len(translations) != len(references) or not translations:
            raise ArgumentError(
                f"{self.name}: got {len(translations)} translations and {len(references)} "
                "references; each translation needs one"
            )
        return float(self._scorer().corpus_score(list(translations), [list(references)]).score)

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns the tokens."""
        output, target = only_tensors(self.name, output, target)
        for what, tokens in (("outputs", output), ("targets", target)):
            if tokens.dtype.kind != "int":
                raise DTypeError(
                    f"{self.name}: {what} must be numbers of tokens, not {tokens.dtype.name}; "
                    "the model has to choose them, as by argmax"
                )
        if output.ndim != 2 or target.ndim != 2:
            raise ShapeError(
                f"{self.name}: needs (n, length) tokens, got {output.shape} and {target.shape}"
            )
        return {"translations": output, "references": target}

    def merge(self, parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Returns the sequences of several batches, padded to the same length."""
        return {name: _filled([part[name] for part in parts]) for name in parts[0]}

    def compute(self, total: dict[str, np.ndarray]) -> float:
        """Returns the score of the texts.

        Raises:
            ArgumentError: there is no `decode`.
        """
        return self.score(self._texts(total["translations"]), self._texts(total["references"]))

    def _texts(self, rows: np.ndarray) -> list[str]:
        if self.decode is None:
            raise ArgumentError(
                f"{self.name}: to evaluate numbers of tokens it needs BLEU(decode=...)"
            )
        return [self.decode(self._tokens(row)) for row in rows.tolist()]

    def _tokens(self, row: list[int]) -> list[int]:
        if self.end in row:
            row = row[: row.index(self.end)]
        return [token for token in row if token not in (PAST, self.ignore_index)]


def _filled(batches: list[np.ndarray]) -> np.ndarray:
    length = max(batch.shape[1] for batch in batches)
    widths = [((0, 0), (0, length - batch.shape[1])) for batch in batches]
    filled = [np.pad(x, w, constant_values=PAST) for x, w in zip(batches, widths, strict=True)]
    return np.concatenate(filled)
