"""How good the mining of simulated reports is: against what the simulator knows that each report asserts.

An engine may name a finding in any words, so an entity is compared with the findings of the report by these rules:

1. Verdicts ("abnormal ecg"), warnings, comparisons and ventricular rates count neither way, and so do what the report
   only cannot rule out and what a statement names beside the condition ("sinus rhythm with run of SVT", "ST elevation,
   consider early repolarization"), nor does what is broader than these.
2. Every simulated condition has names: those that the lexicon reads in any of the simulator's wordings for it. An
   entity that the lexicon knows means a condition if one of these is its name, or a broader or narrower one of the
   same hierarchy ("inferior infarct" for an old one; "av block" for one of the first degree).
3. An entity that the lexicon does not know means a condition if all its telling words stand in one wording of it.

An entity is right if it means a condition that the report asserts; a condition is found if an entity means it, or
several do that stand for one of its wordings ("inferior and lateral infarct"). The rules are the same for every engine,
and lenient on purpose: they ask whether a finding was understood, not how it was worded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import polars as pl

from kmerl.archives.simulate import conditions
from kmerl.archives.simulate.reporting import phrases
from kmerl.knowledge.lexicon import as_phrase, load
from kmerl.knowledge.lexicon.reading import read
from kmerl.knowledge.vocabulary import Vocabulary
from kmerl.knowledge.words import normal_name, words

_NEUTRAL_NAMES = {
    "normal ecg", "abnormal ecg", "borderline ecg", "rapid ventricular response", "slow ventricular response",
    "controlled ventricular response", "poor data quality", "artifact",
}  # fmt: skip
_NEUTRAL_WORDS = {
    "ecg", "ekg", "normal", "abnormal", "borderline", "otherwise", "warning", "data", "quality", "interpretation",
    "change", "changes", "significant", "prior", "previous", "acute", "compared", "since", "new", "finding", "findings",
    "cardiac", "entity", "may", "affect", "no", "technical",
}  # fmt: skip
_EMPTY_WORDS = {
    "possible", "probable", "probably", "consider", "suggests", "suggestive", "of", "the", "a", "an", "and", "or", "in",
    "with", "is", "are", "due", "to", "age", "undetermined", "marked", "mild", "minor", "early", "borderline", "cannot",
    "rule", "out", "be", "nonspecific", "non", "specific", "present", "s",
}  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What one report says: keys of the simulator's table of conditions."""

    asserted: frozenset[str]
    not_excluded: frozenset[str]
    denied: frozenset[str]


@dataclass(frozen=True)
class Score:
    """Entities and findings of some reports.

    Attributes:
        right, wrong, neutral: entities.
        denied: wrong ones that the report denies.
        found: asserted findings that an entity means.
        missed: the others.
    """

    right: int
    wrong: int
    neutral: int
    denied: int
    found: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of right ones among the entities that count; NaN if there are none."""
        return _share(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the asserted findings that were found; NaN if there are none."""
        return _share(self.found, self.found + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 if both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def truths(truth: pl.DataFrame, studies: pl.DataFrame) -> dict[str, Truth]:
    """What each distinct report says, by its id.

    Records that share a text may differ in what it was made from ("sinus rhythm" of two kinds); all of it counts.

    Args:
        truth: schema :data:`kmerl.archives.simulate.population.TRUTH`, of an archive with reports.
        studies: columns record_id, report_id.
    """
    columns = ("asserted", "not_excluded", "denied")
    known = truth.drop_nulls("asserted").join(studies, on="record_id").group_by("report_id").agg(columns)
    result = {}
    for report_id, *lists in known.iter_rows():
        asserted, open_, denied = (frozenset(key for one in listed for key in one) for listed in lists)
        result[report_id] = Truth(asserted, open_ - asserted, denied - asserted - open_)
    return result


def _texts(key: str, base: bool) -> list[str]:
    """The simulator's wordings for a condition alone: the statements that name a rhythm, or all others."""
    of_key = [(kind, texts) for (keys, kind), texts in phrases().items() if keys == key]
    return [text.lower().replace(" / ", ". ") for kind, texts in of_key if (kind == "base") == base for text in texts]


@cache
def _wordings(key: str) -> tuple[str, ...]:
    """All wordings for a condition, also those that it shares with another, as one statement each."""
    shared = [text.lower() for (keys, _), texts in phrases().items() if key in keys.split("+") for text in texts]
    return tuple(dict.fromkeys([conditions.table()[key].name.lower(), *shared, *_texts(key, base=False)]))


@cache
def _together(key: str) -> tuple[frozenset[str], ...]:
    """Names that mean the condition together: "inferior and lateral infarct"."""
    texts = [text for base in (True, False) for text in _texts(key, base)]
    named = [frozenset(finding.name for finding in read(text)) - _NEUTRAL_NAMES for text in texts]
    return tuple(names for names in dict.fromkeys(named) if len(names) > 1)


@cache
def _beside(key: str) -> frozenset[str]:
    """What wordings name beside the condition, and what is broader than that.

    The sinus rhythm that is interrupted, a ventricular rate and the tachycardia that it is, the ST elevation that early
    repolarisation shows.
    """
    named = {finding.name for base in (True, False) for text in _texts(key, base) for finding in read(text)}
    return frozenset(named.union(*map(_above, named)) - _names(key))


@cache
def _names(key: str) -> frozenset[str]:
    """The lexicon's names for a condition: its own, related ones, and each that is alone in a wording."""
    own = load().forms.get(as_phrase(conditions.table()[key].name))
    found: set[str] = {own} if own else set()
    for base in (True, False):
        for text in _texts(key, base):
            named = [finding.name for finding in read(text)]
            # of a rhythm's statement the last is the rhythm's own
            found |= {name for name in named if own and (own in _above(name) or name in _above(own))}
            found |= set(named[-1:] if base or len(set(named)) == 1 else [])
    return frozenset(found - _NEUTRAL_NAMES)


@cache
def _above(name: str) -> frozenset[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        above = set(load().superclasses.get(waiting.pop(), ())) - found
        found |= above
        waiting += above
    return frozenset(found)


@lru_cache(maxsize=65536)
def means(entity: str, key: str) -> bool:
    """Whether an entity, in whatever words, means a condition."""
    name = load().forms.get(as_phrase(entity))
    if name is None:
        inside = {finding.name for finding in read(entity)}
        name = inside.pop() if len(inside) == 1 else None
    names = _names(key)
    if any(normal_name(entity) in _above(other) for other in names):  # a superclass, whose name may be a finding's, too
        return True
    if name is not None:
        return name in names or any(name in _above(other) or other in _above(name) for other in names)
    telling = {word.text for word in words(entity)} - _EMPTY_WORDS - _NEUTRAL_WORDS
    return bool(telling) and any(telling <= {word.text for word in words(text)} for text in _wordings(key))


@lru_cache(maxsize=65536)
def is_neutral(entity: str) -> bool:
    """Whether an entity is no finding that could be right or wrong."""
    name = load().forms.get(as_phrase(entity))
    return name in _NEUTRAL_NAMES or {word.text for word in words(entity)} <= _NEUTRAL_WORDS | _EMPTY_WORDS


def judge(entity: str, truth: Truth) -> str:
    """``right``, ``neutral``, ``denied`` (by the report), or ``wrong`` for another reason."""
    if any(means(entity, key) for key in truth.asserted):
        return "right"
    name = load().forms.get(as_phrase(entity))
    if is_neutral(entity) or any(means(entity, key) for key in truth.not_excluded):
        return "neutral"
    if any({name, normal_name(entity)} & _beside(key) for key in truth.asserted):
        return "neutral"
    return "denied" if any(means(entity, key) for key in truth.denied) else "wrong"


def is_found(key: str, entities: Sequence[str]) -> bool:
    """Whether one of a report's entities means a condition, or several do together."""
    if any(means(entity, key) for entity in entities):
        return True
    names = {load().forms.get(as_phrase(entity)) or entity for entity in entities}
    return any(together <= names for together in _together(key))


def score(entities: Mapping[str, Sequence[str]], known: Mapping[str, Truth]) -> Score:
    """Entities by report against what the reports say; only reports in ``known`` count, with or without entities."""
    counts = dict.fromkeys(("right", "wrong", "neutral", "denied"), 0)
    found = missed = 0
    for report_id, truth in known.items():
        named = entities.get(report_id, ())
        # "tachycardia" beside "rapid ventricular response" says no more than that does
        broader = frozenset[str]().union(*(_above(normal_name(entity)) for entity in named if is_neutral(entity)))
        for entity in named:
            judged = judge(entity, truth)
            counts["neutral" if judged == "wrong" and normal_name(entity) in broader else judged] += 1
        hit = sum(is_found(key, named) for key in truth.asserted)
        found, missed = found + hit, missed + len(truth.asserted) - hit
    wrong = counts["wrong"] + counts["denied"]
    return Score(counts["right"], wrong, counts["neutral"], counts["denied"], found, missed)


def by_report(table: pl.DataFrame) -> dict[str, list[str]]:
    """Report -> its entities, of a table with columns report_id, entity."""
    return dict(table.group_by("report_id", maintain_order=True).agg("entity").iter_rows())


@dataclass(frozen=True)
class Verification:
    """What asking YES or NO did, and what the two checks without a model would do.

    Attributes:
        errors, errors_removed: wrong entities, and those of them answered NO.
        right, right_lost: right entities, and those of them answered NO.
        errors_flagged, right_flagged: what the guard flags of both.
    """

    errors: int
    errors_removed: int
    right: int
    right_lost: int
    errors_flagged: int
    right_flagged: int


def verification(verified: pl.DataFrame, known: Mapping[str, Truth]) -> Verification:
    """Counts over the extracted entities; unusable answers remove nothing and lose nothing."""
    counts = dict.fromkeys(("errors", "errors_removed", "right", "right_lost", "errors_flagged", "right_flagged"), 0)
    for report_id, entity, answer, flagged in verified.select("report_id", "entity", "answer", "flagged").iter_rows():
        judged = judge(entity, known[report_id]) if report_id in known else "neutral"
        if judged == "neutral":
            continue
        kind, gone = ("right", "right_lost") if judged == "right" else ("errors", "errors_removed")
        counts[kind] += 1
        counts[gone] += answer == "no"
        counts[f"{kind}_flagged"] += flagged
    return Verification(**counts)


@dataclass(frozen=True)
class Agreement:
    """Label vectors against what the reports say.

    Attributes:
        bits: positive queries, judged as entities are, and the findings that none of them means.
        reports: compared.
        faultless: of these without a wrong bit and without a missed finding.
    """

    bits: Score
    reports: int
    faultless: int


def label_agreement(
    vocabulary: Vocabulary, labels: pl.DataFrame, studies: pl.DataFrame, known: Mapping[str, Truth]
) -> Agreement:
    """The positive queries of each labelled report against what it says.

    Args:
        vocabulary: of the labels.
        labels: columns record_id, positives.
        studies: columns record_id, report_id.
        known: from :func:`truths`.
    """
    rows = labels.join(studies, on="record_id").unique("report_id", maintain_order=True)
    mined = {
        report_id: [vocabulary.queries[i] for i in positives]
        for report_id, positives in rows.select("report_id", "positives").iter_rows()
        if report_id in known
    }
    each = [score({report_id: mined[report_id]}, {report_id: known[report_id]}) for report_id in mined]
    total = score(mined, {report_id: known[report_id] for report_id in mined})
    return Agreement(total, len(each), sum(one.wrong == one.missed == 0 for one in each))


def overlap(one: Mapping[str, Iterable[str]], other: Mapping[str, Iterable[str]], reports: Iterable[str]) -> float:
    """How far two sets of entities by report agree: shared pairs over all pairs (Jaccard), 1 if both are empty."""
    pairs = [{(report, entity) for report in reports for entity in each.get(report, ())} for each in (one, other)]
    return _share(len(pairs[0] & pairs[1]), len(pairs[0] | pairs[1])) if pairs[0] | pairs[1] else 1.0


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
