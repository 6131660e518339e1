"""What answers questions: one interface, and a registry by name.

An engine takes OpenAI batch lines and yields one result line for each, in any order; it decides nothing else.
"""

from collections.abc import Iterator
from typing import Any, Literal, Protocol

from pydantic import Field

from kmerl.section import Section

Request = dict[str, Any]
"""A line of an OpenAI batch file: custom_id, method, url, body {model, messages, temperature, max_tokens}."""
Response = dict[str, Any]
"""A line of its result: custom_id, response {status_code, body {choices, usage}}, error."""


class LexiconParams(Section):
    """How the lexicon engine reads hedged findings; the paper's prompt asks for "all positive" entities."""

    uncertain: Literal["positive", "negative"] = Field(
        description="a finding that is possible, probable, considered, suggested or borderline"
    )
    not_excluded: Literal["positive", "negative"] = Field(
        description="a finding that the reader only cannot rule out, which is weaker than possible"
    )


class EngineParams(Section):
    """Which engine answers, and how it samples."""

    name: Literal["lexicon"] = Field(description="engine: lexicon (deterministic, needs no model)")
    model: str = Field(
        min_length=1, description="the model to ask; for the lexicon, the name under which its answers are kept"
    )
    temperature: float = Field(ge=0, le=2, description="sampling temperature; 0 takes the most probable token")
    lexicon: LexiconParams


class Engine(Protocol):
    """Answers questions."""

    @property
    def model(self) -> str:
        """The name that requests carry: whatever changes the answers changes it."""

    def answer(self, requests: Iterator[Request]) -> Iterator[Response]:
        """One result per request, in any order; faults are results too (``error``), never exceptions."""


def open_engine(params: EngineParams) -> Engine:
    """The engine that the parameters name."""
    # imported here, so that an engine's dependencies are needed only where it is used
    from kmerl.knowledge.engines.lexicon import LexiconEngine

    return {"lexicon": LexiconEngine}[params.name](params)
