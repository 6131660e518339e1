"""What goes to an engine and what comes back: lines of the OpenAI batch format."""

from typing import Any

Request = dict[str, Any]
"""A line of an OpenAI batch file: custom_id, method, url, body {model, messages, temperature, seed, max_tokens, and
perhaps structured_outputs}."""


Response = dict[str, Any]
"""A line of its result: custom_id, response {status_code, body {model, choices, usage}}, error. ``usage`` holds
prompt_tokens and completion_tokens and, where the engine tells it, cached_tokens: of the prompt, found in the engine's
prefix cache. A fault is a result with ``error`` {code, message}, whose ``response`` may be None."""


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
