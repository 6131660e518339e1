"""How servers want to be told what an answer may look like."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from kmerl.errors import UserError

Body = dict[str, Any]


def translate(body: Body, dialect: str) -> Body:
    """A request's body with its constraint as a server of this dialect understands it.

    Args:
        body: may hold ``structured_outputs``, as vLLM has it.
        dialect: of :class:`~kmerl.knowledge.engines.params.OpenAiParams`.

    Raises:
        UserError: the dialect has no such constraint.
    """
    constraint: Mapping[str, Any] = body.get("structured_outputs") or {}
    if not constraint or dialect == "vllm":
        return body
    sent = {name: value for name, value in body.items() if name != "structured_outputs"}
    for kind, value in constraint.items():
        if kind not in _DIALECTS[dialect]:
            raise UserError(
                f"knowledge.engine.openai.dialect: {dialect} has no constraint of the kind {kind}; "
                "set knowledge.ask.constraint to none"
            )
        sent |= _DIALECTS[dialect][kind](value)
    return sent


def plain(content: str, body: Body, dialect: str) -> str:
    """An answer as other engines give it: a choice without the quotes that a schema puts around it."""
    if dialect == "openai" and "choice" in (body.get("structured_outputs") or {}):
        try:
            value = json.loads(content)
        except ValueError:
            return content
        return value if isinstance(value, str) else content
    return content


def _schema(schema: Any) -> Body:
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    }


def _alternatives(choices: list[str]) -> str:
    """Choices as a grammar of llama.cpp, whose quoted texts have JSON's escapes."""
    return "root ::= " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)


_DIALECTS: dict[str, dict[str, Callable[[Any], Body]]] = {
    "openai": {
        "json": _schema,
        "choice": lambda choices: _schema({"type": "string", "enum": choices}),
        "regex": lambda pattern: _schema({"type": "string", "pattern": pattern}),
    },
    "llama_cpp": {
        "json": lambda schema: {"response_format": {"type": "json_object", "schema": schema}},
        "choice": lambda choices: {"grammar": _alternatives(choices)},
        "grammar": lambda grammar: {"grammar": grammar},
    },
}
