"""Names of ECG findings and how machine reports write them: the data files beside this module, expanded.

``lexicon.csv`` holds one finding per row: its full name, its superclasses, and the forms in which reports write it
(separated by ``|``). ``{slot}`` in a form stands for every wording of that slot in ``slots.csv``; in a name it makes
one finding per value of the slot. Forms are compared word by word (hyphens, slashes and brackets only separate
words), so no regular expressions are needed. ``cues.csv`` holds the phrases that negate, weaken or date a finding.

``*_german.csv`` and ``*_swedish.csv`` give forms and cues in these languages under the same English names, those of
``names.csv`` among them: names that only such forms need. They cover what PTB-XL's reports hold, as far as a sample of
482 distinct ones (its ids 1 to 999) and a cardiologist's usual German show it: the statements of the recorders'
programs, and of free text the common terms. ``linkstyp`` (-30 to 30 degrees, no deviation) is "left axis type";
normal axes, like "normal axis" in English, are no finding.
"""

import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from kmerl.knowledge.words import words

Phrase = tuple[str, ...]
Value = TypeVar("Value")
Slots = dict[str, dict[str, list[str]]]
"""Slot -> value, as it stands in names -> wordings."""

OTHER_LANGUAGES = ("german", "swedish")
"""Languages beside English whose words are known."""

_FOLDER = Path(__file__).parent
_SLOT = re.compile(r"\{(\w+)\}")


class Phrases(Generic[Value]):
    """A dictionary of phrases in which the longest one at a place is found."""

    def __init__(self) -> None:
        self._values: dict[Phrase, Value] = {}
        self._lengths: dict[str, list[int]] = {}

    def add(self, phrase: Phrase, value: Value) -> None:
        """Add a phrase.

        Raises:
            ValueError: the phrase already means something else.
        """
        if self._values.setdefault(phrase, value) != value:
            raise ValueError(f"{' '.join(phrase)!r} means both {self._values[phrase]} and {value}")
        lengths = self._lengths.setdefault(phrase[0], [])
        if len(phrase) not in lengths:
            lengths.append(len(phrase))
            lengths.sort(reverse=True)

    def get(self, phrase: Phrase) -> Value | None:
        """The value of exactly this phrase."""
        return self._values.get(phrase)

    def starting(self, text: Phrase, at: int) -> Iterator[tuple[int, Value]]:
        """The ends and values of the phrases that start at word ``at``, the longest first."""
        for length in self._lengths.get(text[at], ()):
            if at + length <= len(text) and (value := self._values.get(text[at : at + length])) is not None:
                yield at + length, value

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Cue:
    """What a phrase does to findings: ``meaning`` and the direction in which they stand."""

    meaning: str
    direction: str


@dataclass(frozen=True)
class Lexicon:
    """The expanded data files."""

    forms: Phrases[str]
    """Written form -> full name."""
    superclasses: dict[str, tuple[str, ...]]
    """Full name -> every superclass above it."""
    cues: Phrases[Cue]


def as_phrase(text: str) -> Phrase:
    """The words of a text."""
    return tuple(word.text for word in words(text))


@cache
def load() -> Lexicon:
    """The lexicon, read once."""
    forms: Phrases[str] = Phrases()
    superclasses: dict[str, tuple[str, ...]] = {}
    slots = _slots("slots.csv")
    for row in _rows("lexicon.csv") + _rows("names.csv"):
        for name, chosen, wordings in _named(row["name"], slots):
            superclasses[name] = tuple(_set(s, chosen) for s in row["superclasses"].split("|") if s)
            _add(forms, name, [name, *row["forms"].split("|")], wordings)
    for language in OTHER_LANGUAGES:
        slots = _slots(f"slots_{language}.csv")
        for row in _rows(f"lexicon_{language}.csv"):
            for name, _, wordings in _named(row["name"], slots):
                if name not in superclasses:
                    raise ValueError(f"lexicon_{language}.csv: {name!r} is no name of lexicon.csv or names.csv")
                _add(forms, name, row["forms"].split("|"), wordings)
    cues: Phrases[Cue] = Phrases()
    for file in ("cues.csv", *(f"cues_{language}.csv" for language in OTHER_LANGUAGES)):
        for row in _rows(file):
            for text in row["phrase"].split("|"):
                cues.add(as_phrase(text), Cue(row["meaning"], row["direction"]))
    return Lexicon(forms, superclasses, cues)


def _slots(file: str) -> Slots:
    slots: Slots = {}
    for row in _rows(file):
        slots.setdefault(row["slot"], {})[row["name"]] = row["forms"].split("|")
    return slots


def _named(template: str, slots: Slots) -> Iterator[tuple[str, dict[str, str], dict[str, list[str]]]]:
    """Every name that a template makes, the values of its slots, and every slot's wordings under that name.

    A slot with some of the same values goes with one in the name, even if the name does not hold it: German writes a
    site inflected before its noun (``{site}``), and as it is behind it (``{where}``).
    """
    every = {slot: list(itertools.chain(*values.values())) for slot, values in slots.items()}
    named = _SLOT.findall(template)
    for values in itertools.product(*(slots[slot] for slot in named)):
        chosen = dict(zip(named, values, strict=True))
        alike = {
            slot: wordings.get(value, [])
            for of, value in chosen.items()
            for slot, wordings in slots.items()
            if wordings.keys() <= slots[of].keys()
        }
        yield _set(template, chosen), chosen, every | alike


def _add(forms: Phrases[str], name: str, texts: list[str], wordings: dict[str, list[str]]) -> None:
    for form in texts:
        for text in _expand(form, wordings):
            forms.add(as_phrase(text), name)


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _set(template: str, values: dict[str, str]) -> str:
    return _SLOT.sub(lambda match: values[match[1]], template)


def _expand(form: str, wordings: dict[str, list[str]]) -> Iterator[str]:
    """Every text that a form stands for; wordings may hold slots themselves."""
    match = _SLOT.search(form)
    if match is None:
        yield form
        return
    for wording in wordings[match[1]]:
        yield from _expand(form[: match.start()] + wording + form[match.end() :], wordings)
