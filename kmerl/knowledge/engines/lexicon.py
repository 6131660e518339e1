"""The engine that needs no model: it reads each question's text with the lexicon and answers as a model would."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

from kmerl.knowledge.engines.messages import Request, Response, make_response
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.lexicon import as_phrase, load
from kmerl.knowledge.lexicon.reading import Assertion, Finding, read
from kmerl.knowledge.parsing import UnusableError, parse_list
from kmerl.knowledge.prompts import recognise

_KNOWLEDGE = Path(__file__).parent.parent
_RULES = ("lexicon/*.csv", "lexicon/*.py", "words.py", "engines/lexicon.py")


@cache
def version(folder: Path) -> str:
    """A hash of the lexicon's data files and of the code that reads with them, all below ``folder``.

    It is part of the model's name, so that answers given by other rules never pass for these.
    """
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _RULES for path in folder.glob(pattern)):
        digest.update(f"{path.relative_to(folder).as_posix()}\n{path.read_text('utf-8')}\n".encode())
    return digest.hexdigest()[:12]


class LexiconEngine:
    """Deterministic answers from the text of the last message alone."""

    def __init__(self, params: EngineParams) -> None:
        rules = params.lexicon
        hedged = f"uncertain={rules.uncertain}/not_excluded={rules.not_excluded}"
        self.model = f"{params.model}/{version(_KNOWLEDGE)}/{hedged}"
        self._positive = {Assertion.PRESENT}
        if rules.uncertain == "positive":
            self._positive.add(Assertion.UNCERTAIN)
        if rules.not_excluded == "positive":
            self._positive.add(Assertion.NOT_EXCLUDED)

    def answer(self, requests: Iterator[Request]) -> Iterator[Response]:
        """One result per request, in their order."""
        for request in requests:
            body = request["body"]
            yield make_response(request, self._reply(body["messages"][-1]["content"], "structured_outputs" in body))

    def close(self) -> None:
        """Nothing was started."""

    def _reply(self, message: str, structured: bool) -> str:
        asked = recognise(message)
        if asked is None:
            return "I only answer the questions of the four prompts."
        task, fields = asked
        if task == "extract":
            found = self._extract(fields["report"])
            return json.dumps(found, ensure_ascii=False) if structured else f"[{', '.join(found)}]"
        try:
            entities = parse_list(fields["entities"])
        except UnusableError:
            return "There is no list of entities to work on."
        if task == "verify":
            return "YES" if entities and self._verify(fields["report"], entities) else "NO"
        if task == "merge":
            return json.dumps({entity: full_name(entity) for entity in entities}, ensure_ascii=False)
        return json.dumps(superclasses_of(entities), ensure_ascii=False)

    def _extract(self, report: str) -> list[str]:
        return list(dict.fromkeys(f.written for f in _read(report) if f.assertion in self._positive))

    def _verify(self, report: str, entities: Iterable[str]) -> bool:
        """Whether every entity is named in the report, under any of its names, and positive."""
        positive = {f.name for f in _read(report) if f.assertion in self._positive}
        return all(full_name(entity) in positive for entity in entities)


@lru_cache(maxsize=1024)
def _read(report: str) -> tuple[Finding, ...]:
    # verification asks about one report several times in a row
    return tuple(read(report))


def full_name(entity: str) -> str:
    """The lexicon's name of an entity, or the entity itself if it is not known."""
    return load().forms.get(as_phrase(entity)) or entity


def superclasses_of(entities: Iterable[str]) -> dict[str, list[str]]:
    """Every superclass of the entities, with those of them that belong to it."""
    result: dict[str, list[str]] = {}
    for entity in entities:
        for superclass in load().superclasses.get(full_name(entity), ()):
            result.setdefault(superclass, []).append(entity)
    return dict(sorted(result.items()))
