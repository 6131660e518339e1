"""The answer as a table for people."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kmerl.archives.check.find import Others
from kmerl.archives.check.flags import OF_TABLES
from kmerl.archives.check.rows import Group
from kmerl.archives.check.summary import OTHER, Summary, Tally
from kmerl.escapes import printable
from kmerl.leads import LEADS, from_bit_mask
from kmerl.page.texts import explain
from kmerl.views.text import grid, width

_SHOWN = 3  # sampling rates and lead sets in a line
_LEGEND = {
    "rejected": "cannot be used",
    "tables": "rejected: the archive's tables name no usable record, whatever its file holds",
    "repaired": "can be used; something was mended or left out",
    "doubtful": "read whole and kept as it is, but look at it: something seems wrong",
    "noted": "read whole; how it was recorded",
}


def text(folder: str, how: str, summary: Summary, others: Others) -> str:
    """The whole answer.

    Args:
        folder: that was checked.
        how: the parameters in words, and where they come from.
        summary: what became of its records.
        others: what was not looked into.
    """
    groups = sorted(summary.groups.items(), key=lambda item: (item[0].name == "loose files", item[0].folder, item[0]))
    lines = [printable(folder), how, ""]
    if groups:
        found = [list(_found(tally)) for _, tally in groups]
        outcomes = {one.outcome for several in found for one in several}
        lines += [_overview(groups, summary), "", *_details(groups, found)]
        lines += [f"  {name:8}  {said}" for name, said in _LEGEND.items() if name in outcomes]
        lines += ["  A record may have several flags.", ""] if outcomes else []
    return "\n".join([*lines, *_left(others), total(summary)])


def total(summary: Summary) -> str:
    """The last line: how many records, and what the exit status says."""
    tally = summary.total()
    status = tally.status
    meaning = "exit status 0, as at least one can be used" if tally.usable else "exit status 1, as none can be used"
    return (
        f"{status.total():,} record{'s' * (status.total() != 1)}: {status['read']:,} read whole, "
        f"{status['repaired']:,} repaired, {status['rejected']:,} rejected; {meaning}"
    )


def _overview(groups: Sequence[tuple[Group, Tally]], summary: Summary) -> str:
    rows = [(group.title, printable(group.folder), *_numbers(tally)) for group, tally in groups]
    if len(groups) > 1:
        rows.append(("all", "", *_numbers(summary.total())))
    return grid(["archive", "folder", "records", "read whole", "repaired", "rejected"], rows, right=range(2, 6))


def _numbers(tally: Tally) -> list[str]:
    return [f"{n:,}" for n in (tally.status.total(), *(tally.status[one] for one in ("read", "repaired", "rejected")))]


def _recorded(tally: Tally) -> str:
    """Sampling rates, lengths and leads of a group in one line."""
    if not tally.lengths:
        return "no file of these can be read"
    rates = {"other rates" if fs == OTHER else f"{fs:g} Hz": n for fs, n in tally.rates.items()}
    ends = [f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in (tally.shortest, tally.longest)]
    same = f"{ends[0]} s" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} s (median {tally.median():g} s)"
    leads = _commonest({_lead_set(mask): n for mask, n in tally.leads.items()}) or "no usable leads"
    return f"{_commonest(rates)}; {same}; {leads}"


def _lead_set(mask: int) -> str:
    """The shorter of which leads there are and which are missing."""
    present = from_bit_mask(mask)
    if len(present) == len(LEADS):
        return "all 12 leads"
    if len(present) <= len(LEADS) / 2:
        return " ".join(present)
    return f"all but {' '.join(one for one in LEADS if one not in present)}"


def _commonest(counted: dict[str, int]) -> str:
    """Names, the commonest first, with their numbers where there are several."""
    names = sorted(counted, key=lambda name: (-counted[name], name))
    if len(names) < 2:
        return "".join(names)
    more = [f"{len(names) - _SHOWN} more kinds"] if len(names) > _SHOWN else []
    return ", ".join([f"{name} ({counted[name]:,})" for name in names[:_SHOWN]] + more)


class _Finding(NamedTuple):
    """A flag or a reason of a group, how many records have it, what it means, and an example."""

    outcome: str
    code: str
    records: int
    meaning: str
    example: str


def _found(tally: Tally) -> Iterator[_Finding]:
    for reason, n in tally.rejections():
        where, detail = tally.examples["reason", reason]
        example = ": ".join(printable(part) for part in (where, detail) if part)
        yield _Finding("tables" if reason in OF_TABLES else "rejected", reason, n, explain("reasons", reason), example)
    for outcome in ("repaired", "doubtful", "noted"):
        for flag, n in tally.of_kind(outcome):
            yield _Finding(outcome, flag, n, explain("flags", flag), printable(tally.examples["flag", flag][0]))


def _details(groups: Sequence[tuple[Group, Tally]], found: Sequence[Sequence[_Finding]]) -> Iterator[str]:
    """For each group how its records were recorded, and a line for each flag and reason, and one with an example."""
    rows = [(one.outcome, one.code, f"{one.records:,}", one.meaning) for several in found for one in several]
    lines = iter(grid(["", "", "", ""], rows, right=[2]).splitlines()[1:])
    margin = 4 + max((len(row[0]) for row in rows), default=0)  # where flags and reasons begin
    for (group, tally), several in zip(groups, found, strict=True):
        where = "" if group.folder == "." else f" in {printable(group.folder)}"
        yield fitted(f"{group.title}{where}: {_recorded(tally)}")
        for one, line in zip(several, lines, strict=False):  # the lines of later groups remain
            yield line
            yield fitted(f"{'':{margin}}e.g. {' '.join(one.example.split())}")
        yield ""


def fitted(line: str) -> str:
    """A line, cut where the terminal ends."""
    return line if len(line) <= width() else line[: width() - 1] + "…"


def _left(others: Others) -> Iterator[str]:
    """What was not looked into."""
    if others.files:
        endings = {printable(ending): n for ending, n in others.files.items()}
        shown = ", ".join(
            f"{name} {endings[name]:,}" for name in sorted(endings, key=lambda one: (-endings[one], one))[:8]
        )
        n = others.files.total()
        yield f"{n:,} other file{'s were' if n > 1 else ' was'} not looked into: {shown}"
    if others.loops:
        yield f"links that lead back up were not followed: {others.loops:,}"
