"""Reading a report with the lexicon: which findings it names, and how far it asserts each of them.

Rules, in the manner of NegEx and ConText (Chapman 2001, Harkema 2009):

- The longest form at a place wins; forms never reach over a sentence's end.
- A cue before a finding ("no evidence of", "possible", "cannot rule out", "history of") reaches forward to the end of
  the clause: to a comma, a dash, "with", "but" and the like. It passes commas only within a list that ends in "or".
- A cue behind a finding ("has resolved", "no longer present", "is possible") reaches back to the nearest finding
  and to those coordinated with it.
- "no significant change", "compared to prior ecg" and the like say nothing about a finding beside them.
- "A or B" leaves open which of the two is there, so both are uncertain.
- German reports run their statements together without punctuation, so a German cue reaches one finding only: the
  next one behind it ("next": "verdacht auf", "kein") or the last one before it ("last": "nicht auszuschliessen"), at
  most two words away with no comma or dash between, and those coordinated with it. "Wahrscheinlich" ("beside") looks
  back if a finding ends right before it, else ahead. A bare "nicht" and "bekannt" (known, so present) are no cues.
- Where several cues reach a finding: negated, then historical, then not excluded, then uncertain. "Cannot rule out X"
  is weaker than "possible X": the reader saw no sign of it, only none against it.
"""

from dataclasses import dataclass
from enum import IntEnum

from kmerl.knowledge.lexicon import Cue, Lexicon, Phrase, load
from kmerl.knowledge.words import COMMA, DASH, HARD, Word, surface, words

_COORDINATORS = {"and", "or", "nor", "vs", "versus", "plus", "und", "oder", "noch", "sowie", "bzw"}
_COORDINATORS |= {"och", "eller"}
_TERMINATORS = {"with", "but", "however", "although", "though", "except", "now", "which", "unless", "otherwise"}
# of German and Swedish clauses; apart, as "men" and "med" are English words too
_OTHER_TERMINATORS = {"mit", "bei", "aber", "jedoch", "jetzt", "sonst", "ansonsten", "med", "men", "nu"}
_NEAR = 2
"""Words that may stand between a cue that reaches one finding and that finding."""


class Assertion(IntEnum):
    """How far a report asserts a finding, from the strongest to the weakest."""

    PRESENT = 0
    UNCERTAIN = 1
    NOT_EXCLUDED = 2
    HISTORICAL = 3
    NEGATED = 4


_MEANINGS = {
    "possible": Assertion.UNCERTAIN,
    "not_excluded": Assertion.NOT_EXCLUDED,
    "historical": Assertion.HISTORICAL,
    "negated": Assertion.NEGATED,
}


@dataclass(frozen=True)
class Finding:
    """A finding named in a report: as written, by its full name, and how far it is asserted."""

    written: str
    name: str
    assertion: Assertion


@dataclass(frozen=True)
class _Span:
    """Words ``[first, last)``; ``names`` are (written, full name), several where they share a head word."""

    first: int
    last: int
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _CueSpan:
    first: int
    last: int
    cue: Cue


def read(text: str) -> list[Finding]:
    """The findings of a report in the order in which they are written."""
    result = []
    for sentence in _sentences(words(text)):
        for span, assertion in _read_sentence(text, sentence):
            result += [Finding(written, name, assertion) for written, name in span.names]
    return result


def assertion_at(text: str, start: int, end: int) -> Assertion:
    """How far a report asserts the finding written at characters ``[start, end)``, known to the lexicon or not.

    It is taken for part of the lexicon's finding there; of several, the one that is asserted most counts.
    """
    for sentence in _sentences(words(text)):
        inside = [i for i, word in enumerate(sentence) if word.start < end and start < word.end]
        if inside:
            first, last = inside[0], inside[-1] + 1
            read = _read_sentence(text, sentence, _Span(first, last, ()))
            return min(assertion for span, assertion in read if span.first < last and first < span.last)
    return Assertion.PRESENT


def _read_sentence(text: str, sentence: list[Word], extra: _Span | None = None) -> list[tuple[_Span, Assertion]]:
    """The findings of a sentence, and ``extra`` if it is none of them, in their order."""
    lexicon = load()
    taken = [False] * len(sentence)
    cues = _cues(sentence, lexicon, taken, neutral=True)
    spans = _spans(text, sentence, lexicon, taken)
    if extra is not None and not any(span.first < extra.last and extra.first < span.last for span in spans):
        spans = sorted([*spans, extra], key=lambda span: span.first)
        taken[extra.first : extra.last] = [True] * (extra.last - extra.first)
    cues += _cues(sentence, lexicon, taken, neutral=False)
    return list(zip(spans, _assertions(sentence, spans, cues), strict=True))


def _sentences(text: list[Word]) -> list[list[Word]]:
    result: list[list[Word]] = []
    for word in text:
        if not result or word.boundary == HARD:
            result.append([])
        result[-1].append(word)
    return result


def _cues(sentence: list[Word], lexicon: Lexicon, taken: list[bool], *, neutral: bool) -> list[_CueSpan]:
    """The cue phrases on words not taken yet, which they then take; neutral ones come before all else."""
    phrase = tuple(word.text for word in sentence)
    result, i = [], 0
    while i < len(sentence):
        for last, cue in lexicon.cues.starting(phrase, i):
            if (cue.meaning == "neutral") == neutral and not any(taken[i:last]):
                if not neutral:
                    result.append(_CueSpan(i, last, cue))
                taken[i:last] = [True] * (last - i)
                i = last - 1
                break
        i += 1
    return result


def _spans(text: str, sentence: list[Word], lexicon: Lexicon, taken: list[bool]) -> list[_Span]:
    """The findings' forms, longest first at each place, with the findings that share their words."""
    phrase = tuple(word.text for word in sentence)
    found: list[tuple[int, int, str]] = []
    i = 0
    while i < len(sentence):
        for last, name in lexicon.forms.starting(phrase, i):
            if not any(taken[i:last]) and _unbroken(sentence, phrase, i, last, lexicon):
                found.append((i, last, name))
                taken[i:last] = [True] * (last - i)
                i = last - 1
                break
        i += 1
    result = []
    for first, last, name in found:
        written = surface(text, sentence[first].start, sentence[last - 1].end)[0]
        shared = _sites_behind(phrase, first, last, lexicon)
        names = shared or [(written, name)]
        before = _modifiers_before(sentence, first, last, lexicon, taken)
        start = first - sum(length for length, _ in before)
        result.append(_Span(start, last, tuple([pair for _, pair in reversed(before)] + names)))
    return result


def _unbroken(sentence: list[Word], phrase: Phrase, first: int, last: int, lexicon: Lexicon) -> bool:
    """Whether the words after a comma inside a form belong to it, as in "inferior infarct, old".

    They do not where they begin a finding that reaches further: "inferior infarct, old anterior infarct".
    """
    return not any(
        end > last
        for i in range(first + 1, last)
        if sentence[i].boundary == COMMA
        for end, _ in lexicon.forms.starting(phrase, i)
    )


def _modifiers_before(
    sentence: list[Word], first: int, last: int, lexicon: Lexicon, taken: list[bool]
) -> list[tuple[int, tuple[str, str]]]:
    """Findings that leave their head word to the one at ``[first, last)``: "inferior and lateral st elevation".

    Returns the number of words each takes, with its coordinator, and (written, full name), from right to left.
    """
    phrase = tuple(word.text for word in sentence)
    result: list[tuple[int, tuple[str, str]]] = []
    while first:
        joint = 1 if phrase[first - 1] in _COORDINATORS else 0
        # only further members of a list are joined by a comma alone
        if not joint and not (result and sentence[first].boundary == COMMA):
            break
        found = _with_head_of(phrase, first, last, joint, lexicon, taken)
        if found is None:
            break
        length, pair = found
        start = first - joint - length
        result.append((first - start, pair))
        # the modifier's own words belong to the finding now
        taken[start:first] = [True] * (first - start)
        first = start
    return result


def _with_head_of(
    phrase: Phrase, first: int, last: int, joint: int, lexicon: Lexicon, taken: list[bool]
) -> tuple[int, tuple[str, str]] | None:
    """The finding whose modifier ends ``joint`` words before ``first``: the modifier's length, and its names."""
    for length in (3, 2, 1):
        start = first - joint - length
        if start < 0 or any(taken[start:first]):
            continue
        for head in range(first + 1, last):
            whole = phrase[start : start + length] + phrase[head:last]
            name = lexicon.forms.get(whole)
            if name is not None:
                return length, (" ".join(whole), name)
    return None


def _sites_behind(phrase: Phrase, first: int, last: int, lexicon: Lexicon) -> list[tuple[str, str]]:
    """The findings of "st elevation in inferior and lateral leads", one per site; empty if it is not so written."""
    rest = phrase[last : last + 8]
    if not rest or rest[0] != "in" or "leads" not in rest:
        return []
    result: list[tuple[str, str]] = []
    site: Phrase = ()
    for word in rest[1 : rest.index("leads") + 1]:
        if word not in _COORDINATORS and word != "leads":
            site = () if word == "the" else (*site, word)
            continue
        whole = (*phrase[first:last], "in", *site, "leads")
        name = lexicon.forms.get(whole)
        if name is None:
            return []
        result.append((" ".join(whole), name))
        site = ()
    return result


def _assertions(sentence: list[Word], spans: list[_Span], cues: list[_CueSpan]) -> list[Assertion]:
    result = [Assertion.PRESENT] * len(spans)
    for cue in cues:
        meaning = _MEANINGS[cue.cue.meaning]
        reached = _forward(sentence, spans, cue) if cue.cue.direction == "forward" else []
        if cue.cue.direction in ("next", "last", "beside"):
            reached = _beside(sentence, spans, cue)
        # "pvcs previously": a cue with nothing behind it in its clause looks back
        elif cue.cue.direction == "backward" or (not reached and meaning == Assertion.HISTORICAL):
            reached = _backward(sentence, spans, cue)
        for i in reached:
            result[i] = max(result[i], meaning)
    for i in range(len(spans) - 1):
        between = {word.text for word in sentence[spans[i].last : spans[i + 1].first]}
        if between and between <= {"or", "vs", "versus", "oder", "eller"}:
            result[i], result[i + 1] = (max(Assertion.UNCERTAIN, a) for a in result[i : i + 2])
    for i, span in enumerate(spans):
        inside = {word.text for word in sentence[span.first : span.last]}
        if len(span.names) > 1 and inside & {"or", "oder", "eller"}:
            result[i] = max(result[i], Assertion.UNCERTAIN)
    return result


def _forward(sentence: list[Word], spans: list[_Span], cue: _CueSpan) -> list[int]:
    """The findings that a cue before them reaches."""
    end = cue.last
    while end < len(sentence):
        word = sentence[end]
        inside = any(span.first < end < span.last for span in spans)
        if not inside and word.text in _TERMINATORS:
            break
        if not inside and end > cue.last and word.boundary == DASH:
            break
        if not inside and end > cue.last and word.boundary == COMMA and not _list_goes_on(sentence, spans, end):
            break
        end += 1
    return [i for i, span in enumerate(spans) if cue.last <= span.first < end]


def _list_goes_on(sentence: list[Word], spans: list[_Span], at: int) -> bool:
    """Whether the comma before word ``at`` separates items of a list whose last item follows "or" or "nor"."""
    if sentence[at].text in {"or", "nor"}:
        return True
    starts = any(span.first in (at, at + 1) for span in spans)
    return starts and any(word.text in {"or", "nor"} for word in sentence[at:])


def _backward(sentence: list[Word], spans: list[_Span], cue: _CueSpan) -> list[int]:
    """The nearest finding before a cue in its clause, and those coordinated with it."""
    result: list[int] = []
    limit, coordinated = cue.first, False
    for i in reversed([i for i, span in enumerate(spans) if span.last <= cue.first]):
        gap = sentence[spans[i].last : limit]
        texts = {word.text for word in gap}
        # a comma directly before the cue is a pause, any other one ends the clause
        broken = any(word.boundary in (COMMA, DASH) for word in gap)
        if result:
            # a comma alone goes on only in a list: "pvcs, pacs and couplets have resolved"
            listed = sentence[limit].boundary == COMMA and coordinated
            if not texts <= _COORDINATORS or not (texts or listed):
                break
            coordinated = True
        elif broken or texts & _TERMINATORS - {"now", "which"}:
            break
        result.append(i)
        limit = spans[i].first
    return result


def _beside(sentence: list[Word], spans: list[_Span], cue: _CueSpan) -> list[int]:
    """The finding next to a cue, on the side to which it looks, and those coordinated with it."""
    behind = [i for i, span in enumerate(spans) if span.first >= cue.last]
    before = [i for i, span in enumerate(spans) if span.last <= cue.first][::-1]
    looks_back = cue.cue.direction == "last" or (
        cue.cue.direction == "beside"
        and bool(before)
        and spans[before[0]].last == cue.first
        and not sentence[cue.first].boundary
    )
    result: list[int] = []
    waiting: list[int] = []
    coordinated = False
    edge = cue.first if looks_back else cue.last
    for i in before if looks_back else behind:
        first, last = (spans[i].last, edge) if looks_back else (edge, spans[i].first)
        texts = {word.text for word in sentence[first:last]}
        broken = any(word.boundary for word in sentence[first : last + 1])
        if not result:
            if last - first > _NEAR or broken or texts & _OTHER_TERMINATORS:
                break
        elif not (texts <= _COORDINATORS and (texts or broken)):
            break
        coordinated = coordinated or (bool(result) and bool(texts))
        # of a list, a comma alone joins those that a coordinator joins in the end
        waiting.append(i)
        if texts or not result or (looks_back and coordinated):
            result, waiting = result + waiting, []
        edge = spans[i].first if looks_back else spans[i].last
    return result
