"""Counts of what became of records. Memory grows with the number of archives, not of records."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from kmerl.archives.check.flags import kind_of
from kmerl.archives.check.rows import Group, Row

_RATES = 50  # sampling rates that are told apart
OTHER = -1.0
"""Stands for all other sampling rates."""


@dataclass
class Tally:
    """Counts of one group of records.

    Attributes:
        status: records by status.
        flags: records by flag.
        reasons: rejected records by reason.
        examples: (``flag`` or ``reason``, which) -> the first record with it, and its detail.
        rates: records by sampling rate, Hz; :data:`OTHER` for all beyond the first few.
        lengths: records by length, s, to three digits.
        shortest, longest: length, s.
        leads: records by the bit mask of their usable leads.
    """

    status: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    rates: Counter[float] = field(default_factory=Counter)
    lengths: Counter[float] = field(default_factory=Counter)
    shortest: float = float("inf")
    longest: float = 0.0
    leads: Counter[int] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        """Count a record."""
        self.status[row.status] += 1
        self.flags.update(row.flags)
        if row.reason:
            self.reasons[row.reason] += 1
            self.examples.setdefault(("reason", row.reason), (row.path or row.record_id, row.detail))
        for flag in row.flags:
            self.examples.setdefault(("flag", flag), (row.path, ""))
        if row.fs is not None and row.seconds is not None:
            self.rates[row.fs if row.fs in self.rates or len(self.rates) < _RATES else OTHER] += 1
            self.lengths[float(f"{row.seconds:.3g}")] += 1
            self.shortest, self.longest = min(self.shortest, row.seconds), max(self.longest, row.seconds)
        if row.leads:
            self.leads[row.leads] += 1

    def merge(self, other: "Tally") -> None:
        """Add the counts of another group; of its examples none."""
        for name in ("status", "flags", "reasons", "rates", "lengths", "leads"):
            getattr(self, name).update(getattr(other, name))
        self.shortest, self.longest = min(self.shortest, other.shortest), max(self.longest, other.longest)

    @property
    def usable(self) -> int:
        """Records that can be used."""
        return self.status["read"] + self.status["repaired"]

    def median(self) -> float:
        """The median length, s, to three digits."""
        middle, passed = (self.lengths.total() + 1) // 2, 0
        for length, n in sorted(self.lengths.items()):
            passed += n
            if passed >= middle:
                return length
        return 0.0

    def of_kind(self, kind: str) -> list[tuple[str, int]]:
        """Flags of a kind, commonest first, and how many records have them."""
        return [(flag, n) for flag, n in _commonest(self.flags.items()) if kind_of(flag) == kind]

    def rejections(self) -> list[tuple[str, int]]:
        """Reasons, commonest first, and how many records have them."""
        return _commonest(self.reasons.items())


def _commonest(counted: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counted, key=lambda pair: (-pair[1], pair[0]))


@dataclass
class Summary:
    """Counts of all groups, in the order in which they were met."""

    groups: dict[Group, Tally] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Count a record."""
        self.groups.setdefault(row.group, Tally()).add(row)

    def total(self) -> Tally:
        """The counts of all groups together."""
        result = Tally()
        for tally in self.groups.values():
            result.merge(tally)
        return result
