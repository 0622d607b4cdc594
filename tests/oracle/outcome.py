"""How a comparison with PyTorch ends, how the ends are counted, and when a run has failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from smelt.errors import SmeltError
from tests.oracle.known import KNOWN, Known

AGREE = "agree"
LISTED = "differ, listed"
NEW = "differ, not listed"
REFUSED = "refused by Smelt"
ARGUMENT = "argument unknown"
RAW = "raw error"
NONE = "PyTorch has none"
ENDS = (AGREE, LISTED, NEW, REFUSED, ARGUMENT, RAW, NONE)
SIGNATURE = ("keyword argument", "positional argument", "multiple values for argument")


@dataclass(frozen=True)
class Case:
    """One comparison: which name of which database, on which sample, what is compared."""

    database: str
    name: str
    form: str  # how Smelt spells it: "smelt.add", "Tensor.add"
    dtype: str
    check: str  # "value", "first", "second", "compiled", ...
    sample: str

    def __str__(self) -> str:
        return f"{self.form} {self.dtype} {self.check}: {self.sample}"


@dataclass
class Tally:
    """Counts of ends, one example of each difference, and which listed differences were met.

    Counts are kept by database, check and end.
    """

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str, str, str, str], tuple[Case, str, int]] = field(
        default_factory=dict
    )
    met: set[Known] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def agree(self, case: Case) -> None:
        self.counts[case.database, case.check, AGREE] += 1
        self.names.add(case.name)

    def skip(self, case: Case) -> None:
        """Counts a sample of which PyTorch gives nothing to compare with, or Smelt has no form."""
        self.counts[case.database, case.check, NONE] += 1

    def differ(self, case: Case, what: str) -> None:
        """Counts a difference, `what` in words, as a listed one where the list has it."""
        self.names.add(case.name)
        listed = [known for known in KNOWN if known.covers(case, what)]
        self.met.update(listed)
        self._note(LISTED if listed else NEW, case, what)

    def error(self, case: Case, error: Exception) -> None:
        """Counts what Smelt raised where PyTorch gave a value."""
        self.names.add(case.name)
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if isinstance(error, SmeltError):
            self._note(REFUSED, case, text)
        elif isinstance(error, TypeError) and any(words in str(error) for words in SIGNATURE):
            self._note(ARGUMENT, case, text)
        else:
            self._note(RAW, case, text)

    def _note(self, end: str, case: Case, text: str) -> None:
        self.counts[case.database, case.check, end] += 1
        key = (end, case.form, case.dtype, case.check, text.split(":")[0])
        first, words, count = self.examples.get(key, (case, text, 0))
        self.examples[key] = (first, words, count + 1)

    def total(self, end: str) -> int:
        """Returns how often this end came, in all databases and checks."""
        return sum(count for (*_, other), count in self.counts.items() if other == end)

    def table(self) -> Iterator[str]:
        """Yields the counts, a line for each database and check and one for all."""
        width = max(map(len, ENDS)) + 2
        yield f"{'':30}" + "".join(f"{end:>{width}}" for end in ENDS)
        rows = dict.fromkeys((database, check) for database, check, _ in self.counts)
        for row in rows:
            numbers = "".join(f"{self.counts[*row, end]:{width}}" for end in ENDS)
            yield f"{' '.join(row):30}{numbers}"
        yield f"{'all':30}" + "".join(f"{self.total(end):{width}}" for end in ENDS)

    def lines(self, ends: tuple[str, ...]) -> Iterator[str]:
        """Yields each difference of these ends once: how often it came, its first sample."""
        for (end, *_), (case, text, count) in sorted(self.examples.items(), key=str):
            if end in ends:
                yield f"[{end}] x{count} {case}\n        {text}"

    def gone(self, databases: set[str]) -> list[Known]:
        """Returns the listed differences of these databases that were not met."""
        return [known for known in KNOWN if known.database in databases and known not in self.met]
