"""Questions and answers in the OpenAI batch format, streamed to disk, each question asked once."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmerl.artifacts import read_jsonl, write_jsonl
from kmerl.knowledge.engines import Engine, EngineParams, Request, Response
from kmerl.knowledge.prompts import Prompt

REQUESTS = "requests.jsonl"
RESPONSES = "responses.jsonl"


def make_request(prompt: Prompt, engine: Engine, params: EngineParams, max_tokens: int, **fields: str) -> Request:
    """One line of an OpenAI batch file.

    ``custom_id`` is a hash of the whole body, that is of model, prompt, text and sampling: equal questions have
    equal ids whichever run asks them, so stored answers stay valid as long as the question is the same.
    """
    body = {
        "model": engine.model,
        "messages": [{"role": "user", "content": prompt.fill(**fields)}],
        "temperature": params.temperature,
        "max_tokens": max_tokens,
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    return {"custom_id": digest[:32], "method": "POST", "url": "/v1/chat/completions", "body": body}


def make_response(request: Request, content: str, finish_reason: str = "stop") -> Response:
    """One line of an OpenAI batch result; token counts are words, for engines that have no tokenizer."""
    asked = sum(len(message["content"].split()) for message in request["body"]["messages"])
    answered = len(content.split())
    body = {
        "model": request["body"]["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered},
    }
    return {"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


def ask(engine: Engine, requests: Iterable[Request], folder: Path) -> int:
    """Ask each distinct question once; questions and answers are streamed to two files in ``folder``.

    Each file appears when it is whole: if the engine fails, the answers that came before are lost with it. Memory
    holds the ids of the questions, nothing of their texts. Returns the number of questions asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = write_jsonl(folder / REQUESTS, _distinct(requests))
    write_jsonl(folder / RESPONSES, engine.answer(read_jsonl(folder / REQUESTS)))
    return count


def _distinct(requests: Iterable[Request]) -> Iterator[Request]:
    seen: set[str] = set()
    for request in requests:
        if request["custom_id"] not in seen:
            seen.add(request["custom_id"])
            yield request


@dataclass(frozen=True)
class Answer:
    """What came back: the text, and why it cannot be used (None if it can)."""

    request: str
    content: str
    problem: str | None


def answers(folder: Path) -> Iterator[Answer]:
    """The answers stored in ``folder``, in the order in which they came."""
    for response in read_jsonl(folder / RESPONSES):
        yield read_answer(response)


def read_answer(response: Response) -> Answer:
    """An answer's text, or the reason why there is none: HTTP error, no message, cut off by length, empty."""
    request = str(response.get("custom_id"))
    result: dict[str, Any] = response.get("response") or {}
    if response.get("error") or result.get("status_code") != 200:
        return Answer(request, json.dumps(response.get("error") or result, ensure_ascii=False), "http error")
    try:
        choice = result["body"]["choices"][0]
        content = choice["message"]["content"] or ""
    except (KeyError, IndexError, TypeError):
        return Answer(request, json.dumps(result, ensure_ascii=False), "no message")
    if choice.get("finish_reason") == "length":
        return Answer(request, content, "cut off by length")
    return Answer(request, content, None if content.strip() else "empty")
