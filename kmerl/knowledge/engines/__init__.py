"""What answers questions: one interface, and a registry by name.

An engine takes OpenAI batch lines and yields one result line for each, in any order and as soon as it is there; it
decides nothing else. Asking each question once, keeping answers, asking again and reading what came back are the
business of :mod:`kmerl.knowledge.asking`, whatever the engine.

A request's body may hold a constraint under vLLM's name ``structured_outputs``: ``{"choice": [...]}``,
``{"json": SCHEMA}``, ``{"regex": ...}`` or ``{"grammar": ...}``. An engine that talks to something else translates it.
"""

from collections.abc import Iterator
from typing import Protocol

from kmerl.knowledge.engines.messages import Request, Response
from kmerl.knowledge.engines.params import EngineParams


class Engine(Protocol):
    """Answers questions."""

    @property
    def model(self) -> str:
        """The name that requests carry: whatever changes the answers changes it."""

    def answer(self, requests: Iterator[Request]) -> Iterator[Response]:
        """One result per request, in any order; a fault of one question is a result too (``error``).

        Requests are taken from the iterator as there is room for them, never all at once.

        Raises:
            UserError: the engine cannot go on: nobody answers, the key is refused, the model does not load.
        """

    def close(self) -> None:
        """Ends what the engine started. It may be asked again afterwards, and then starts anew."""


def open_engine(params: EngineParams) -> Engine:
    """The engine that the parameters name; nothing is started before the first question."""
    # imported here, so that an engine's dependencies are needed only where it is used
    if params.name == "openai":
        from kmerl.knowledge.engines.openai import OpenAiEngine

        return OpenAiEngine(params)
    if params.name == "vllm":
        from kmerl.knowledge.engines.vllm import VllmEngine

        return VllmEngine(params)
    from kmerl.knowledge.engines.lexicon import LexiconEngine

    return LexiconEngine(params)
