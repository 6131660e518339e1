"""Words of a report with their places."""

import re
from typing import NamedTuple

HARD = "."
"""Boundary that ends a sentence."""
COMMA = ","
DASH = "-"

_LETTERS = "a-z0-9äöüßå"
# "v.a." (suspected) and "z.n." (after) are words of German reports, whose stops end no sentence
_WORD = re.compile(rf"v\. ?a\.|z\. ?n\.|\d+(?:\.\d+)?(?:st|nd|rd|th)?(?![{_LETTERS}'])|[{_LETTERS}][{_LETTERS}']*|&")
_FOLDED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "a", " ": ""})
_HARD = re.compile(r"[.;!?\n]|:\s")
_GOES_ON = {"and", "or", "with", "without", "of", "for", "by", "in", "to", "the", "a", "due", "no", "possible"}
# German and Swedish abbreviations, whose stop (or colon, as in "dd: ...") ends no sentence
_ABBREVIATED = {"amplitudkrit", "chron", "dd", "evtl", "indiff", "inkompl", "insbes", "intraventr", "kompl", "rep"}
_ABBREVIATED |= {"supraventr", "unspez", "unvollst", "ventr", "wahrsch"}
# what follows the stop of an ordinal number: "av-block 1. grades"
_ORDERED = {"grad", "grades", "grads"}
_DASH = re.compile(r"(?:^|\s)-+(?:\s|$)")


class Word(NamedTuple):
    """A word: its text, place ``[start, end)`` in the report, and the boundary before it (or "").

    The text is in lower case and without umlauts (``ä`` is ``ae``, ``ß`` is ``ss``), so both spellings are one word.
    """

    text: str
    start: int
    end: int
    boundary: str


def words(text: str) -> list[Word]:
    """The words of ``text``; hyphens, slashes and brackets only separate, so ``a-v`` is two words.

    A full stop ends no sentence before a dash or after a word that asks for another one: machines spread one
    statement over several columns, which are joined with full stops ("inferior infarct. - age undetermined").
    """
    result: list[Word] = []
    end = 0
    for match in _WORD.finditer(text.lower()):
        word = "and" if match[0] == "&" else match[0].translate(_FOLDED)
        boundary = _boundary(text[end : match.start()], result[-1].text if result else "", word)
        end = match.end()
        result.append(Word(word, match.start(), end, boundary))
    return result


def _boundary(gap: str, before: str, after: str) -> str:
    """The boundary that ``gap`` makes between the words ``before`` and ``after``."""
    if _DASH.search(gap):
        return DASH
    if _HARD.search(gap):
        return "" if before in _GOES_ON or before in _ABBREVIATED or after in _ORDERED else HARD
    return COMMA if "," in gap else ""


def surface(text: str, start: int, end: int) -> tuple[str, int]:
    """The name written at ``[start, end)``, as one item of a list: lower case, single spaces, no punctuation.

    Returns the name and its end, which takes in a bracket that the name opens, as in ``pvc(s)``.
    """
    written = text[start:end]
    if written.count("(") > written.count(")") and text[end : end + 1] == ")":
        end += 1
        written += ")"
    return normal_name(re.sub(r"[,;\[\]\"]|[.:](?=\s)", " ", written)), end


def normal_name(name: str) -> str:
    """A name in lower case with single spaces."""
    return " ".join(name.lower().split())
