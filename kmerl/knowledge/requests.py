"""Questions and answers as lines of the OpenAI batch format."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from kmerl.knowledge.engines.messages import Request, Response
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.prompts import Prompt, examples
from kmerl.section import Section

_json = json.JSONEncoder(ensure_ascii=False).encode
_sorted = json.JSONEncoder(sort_keys=True).encode
_MESSAGES = '"messages": ['


class AskParams(Section):
    """How questions are put, and how often an unusable answer is asked for again."""

    prompting: Literal["paper", "few_shot"] = Field(
        description="the paper's sentences alone, or after examples of questions with their answers"
    )
    constraint: Literal["none", "structured"] = Field(
        description="whether the engine may only write answers of the right form; needs an engine that can do it"
    )
    system: str | None = Field(description="system prompt; null: none (paper)")
    retries: int = Field(ge=0, le=10, description="times that an unusable answer is asked for again")
    growth: float = Field(ge=1, description="factor of max_tokens each time")


class RequestMaker:
    """Makes the questions of one prompt.

    What many questions share comes first: system prompt, examples, the prompt's sentences. It is written and hashed
    once.

    Args:
        prompt: with its fields.
        model: the name that the engine goes by.
        engine: how it samples.
        ask: how questions are put.
        max_tokens: longest answer.
    """

    def __init__(self, prompt: Prompt, model: str, engine: EngineParams, ask: AskParams, max_tokens: int) -> None:
        self._prompt, self._constrained, self._max_tokens = prompt, ask.constraint == "structured", max_tokens
        self._messages = [{"role": "system", "content": ask.system}] if ask.system else []
        if ask.prompting == "few_shot":
            for example in examples(prompt.task):
                self._messages.append({"role": "user", "content": prompt.fill(**example.fields)})
                self._messages.append({"role": "assistant", "content": example.answer})
        self._body: dict[str, Any] = {"model": model, "temperature": engine.temperature}
        if engine.temperature:
            self._body["seed"] = engine.seed
        shared = [self._body, self._messages, prompt.template]
        self._digest = hashlib.sha256(_sorted(shared).encode())

    def make(self, constraint: dict[str, Any] | None = None, **fields: str) -> Request:
        """One line of an OpenAI batch file.

        ``custom_id`` is a hash of all of it but for its longest length, that is of model, prompt, text and sampling:
        equal questions have equal ids whichever run asks them, and an answer that was not cut off stays one under
        another limit.

        Args:
            constraint: vLLM's ``structured_outputs``, sent if answers are constrained.
            fields: of the prompt.
        """
        content, digest = self._prompt.fill(**fields), self._digest.copy()
        digest.update(content.encode("utf-8", "surrogatepass"))
        body = {**self._body, "messages": [*self._messages, {"role": "user", "content": content}]}
        if constraint and self._constrained:
            digest.update(b"\0" + _sorted(constraint).encode())
            body["structured_outputs"] = constraint
        body["max_tokens"] = self._max_tokens
        return {"custom_id": digest.hexdigest()[:32], "method": "POST", "url": "/v1/chat/completions", "body": body}


class RequestWriter:
    """Turns questions into lines; the messages that a question shares with the one before are not written anew."""

    def __init__(self) -> None:
        self._shared: list[dict[str, str]] = []
        self._written = ""

    def line(self, request: Request) -> bytes:
        """The same as ``json.dumps`` makes of it, as UTF-8, with a line's end."""
        *shared, last = request["body"]["messages"]
        if shared != self._shared:
            self._shared, self._written = shared, "".join(f"{_json(one)}, " for one in shared)
        line = _json({**request, "body": {**request["body"], "messages": [last]}})
        # a quotation mark within a text is written as \", so that this is the key
        place = line.index(_MESSAGES) + len(_MESSAGES)
        return f"{line[:place]}{self._written}{line[place:]}\n".encode("utf-8", "replace")


@dataclass(frozen=True)
class Answer:
    """What came back: the text, why it cannot be used (None if it can), and what it means if somebody read it."""

    request: str
    content: str
    problem: str | None
    value: Any = None


def read_answer(response: Response) -> Answer:
    """An answer's text, or the reason why there is none: a fault, no message, cut off by length, empty."""
    request = str(response.get("custom_id"))
    result: dict[str, Any] = response.get("response") or {}
    if response.get("error") or result.get("status_code") != 200:
        return Answer(request, json.dumps(response.get("error") or result, ensure_ascii=False), "fault of the engine")
    try:
        choice = result["body"]["choices"][0]
        content = choice["message"]["content"] or ""
        finished = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return Answer(request, json.dumps(result, ensure_ascii=False), "no message")
    if not isinstance(content, str):
        return Answer(request, json.dumps(content, ensure_ascii=False), "no message")
    if finished == "length":
        return Answer(request, content, "cut off by length")
    return Answer(request, content, None if content.strip() else "empty")
