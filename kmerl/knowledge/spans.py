"""Where an entity stands in a report: at the occurrence that asserts it, if there is one."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from kmerl.knowledge.lexicon.reading import Assertion, assertion_at
from kmerl.knowledge.words import HARD, Word, surface, words

Place = tuple[int, int]
"""``[start, end)`` in characters of the report."""


def occurrences(text: Sequence[Word], entity: str) -> list[Place]:
    """Every place of ``entity``'s words in a row within one sentence, whatever punctuation lies between them.

    A closing bracket is not included.
    """
    wanted = _texts(entity)
    result: list[Place] = []
    for i in range(len(text) - len(wanted) + 1 if wanted else 0):
        if text[i].text != wanted[0]:
            continue
        run = text[i : i + len(wanted)]
        if [word.text for word in run] == wanted and all(word.boundary != HARD for word in run[1:]):
            result.append((run[0].start, run[-1].end))
    return result


@lru_cache(maxsize=4096)
def _texts(entity: str) -> list[str]:
    # the same few entities are looked for in all reports
    return [word.text for word in words(entity)]


def locate(text: str, entities: Sequence[str]) -> list[Place | None]:
    """One place for each entity, with the bracket that it opens taken in; None where it is not written so.

    Any engine may have named the entities, so the text alone decides between several occurrences. First come those
    in a clause that asserts the finding, be it as possible; among them, those outside a longer one of the entities
    ("tachycardia" not in "sinus tachycardia"); then the most certain, and the first.
    """
    sequence = words(text)
    found = [occurrences(sequence, entity) for entity in entities]
    every = {place for places in found for place in places}

    def order(place: Place) -> tuple[Assertion, bool, Assertion, int]:
        assertion = assertion_at(text, *place)
        inside = any(start <= place[0] and place[1] <= end and (start, end) != place for start, end in every)
        return max(assertion, Assertion.UNCERTAIN), inside, assertion, place[0]

    # most entities are written once, and need no reading
    chosen = [min(places, key=order) if len(places) > 1 else next(iter(places), None) for places in found]
    return [None if place is None else (place[0], surface(text, *place)[1]) for place in chosen]


def statements(text: str) -> list[Place]:
    """Where the sentences of a report stand, each with the punctuation that ends it.

    What a machine spread over several columns stays together: "inferior infarct. - age undetermined" is one.
    """
    starts = [word.start for i, word in enumerate(words(text)) if i == 0 or word.boundary == HARD]
    found: list[Place] = []
    for start, following in pairwise([*starts, len(text)]):
        # what opens the next one, such as "--- warning", begins behind the last stop
        found.append((start, start + len(text[start:following].rstrip(" -*=(\"'\n\t"))))
    return found


def is_denied(text: str, place: Place) -> bool:
    """Whether the report denies what is written at a place, or says it of the past; no model is asked."""
    return assertion_at(text, *place) >= Assertion.HISTORICAL
