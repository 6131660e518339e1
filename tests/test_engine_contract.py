"""What every engine must do; the tests of vLLM call it, too."""

from pathlib import Path

import pytest
import yaml
from llm_server import serving

from kmerl.knowledge.engines import Engine, open_engine
from kmerl.knowledge.engines.lexicon import LexiconEngine
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.engines.vllm import name_of
from kmerl.knowledge.prompts import prompt

ENGINE = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["knowledge"]["engine"]


def keeps_the_contract(engine: Engine, constrained: bool) -> None:
    """Check an engine.

    Args:
        engine: that is asked.
        constrained: whether it can keep a constraint.
    """

    def question(report: str, name: str, task: str = "extract", **body) -> dict:
        fields = {"report": report} if task == "extract" else {"report": report, "entities": '["sinus rhythm"]'}
        messages = [{"role": "user", "content": prompt(task).fill(**fields)}]
        return {
            "custom_id": name,
            "body": {"model": engine.model, "messages": messages, "temperature": 0, "max_tokens": 20, **body},
        }

    assert list(engine.answer(iter([]))) == []
    reports = [f"sinus rhythm. {name}." for name in ("rbbb", "lvh", "no pvcs", "a | b", 'quoted "name"', "ü")]
    asked = [question(text, f"q{i}") for i, text in enumerate(reports * 3)]
    found = {one["custom_id"]: one for one in engine.answer(iter(asked))}
    assert set(found) == {one["custom_id"] for one in asked}
    for one in found.values():
        assert one["error"] is None
        assert one["response"]["status_code"] == 200
        body = one["response"]["body"]
        assert body["model"] == engine.model
        (choice,) = body["choices"]
        assert choice["message"]["role"] == "assistant"
        assert isinstance(choice["message"]["content"], str)
        assert choice["finish_reason"] in ("stop", "length")
        assert all(isinstance(body["usage"][name], int) for name in ("prompt_tokens", "completion_tokens"))
    said = [found[f"q{i}"]["response"]["body"]["choices"][0]["message"]["content"] for i in range(len(asked))]
    if not constrained:  # a tiny random model rounds differently beside other questions
        assert said[:6] == said[6:12] == said[12:]
    # questions are taken from the iterator as they are needed, and it may be asked again
    again = {one["custom_id"] for one in engine.answer(question("sinus rhythm.", str(i)) for i in range(7))}
    assert again == set(map(str, range(7)))
    if constrained:
        choices = {"choice": ["YES", "NO"]}
        for one in engine.answer(
            question("sinus rhythm.", str(i), "verify", structured_outputs=choices) for i in range(3)
        ):
            assert one["response"]["body"]["choices"][0]["message"]["content"] in choices["choice"]


def test_the_lexicon_keeps_the_contract() -> None:
    engine = open_engine(EngineParams.model_validate(ENGINE | {"name": "lexicon"}))
    keeps_the_contract(engine, constrained=False)
    engine.close()
    engine.close()


@pytest.mark.parametrize("dialect", ["vllm", "openai", "llama_cpp"])
def test_a_server_is_asked_by_the_contract(dialect) -> None:
    lexicon = LexiconEngine(EngineParams.model_validate(ENGINE))

    def reply(message: str, body: dict) -> str:
        line = {"custom_id": "x", "body": {"model": "m", "messages": body["messages"]}}
        (answer,) = lexicon.answer(iter([line]))
        said = answer["response"]["body"]["choices"][0]["message"]["content"]
        return f'"{said}"' if dialect == "openai" and "response_format" in body else said

    with serving() as server:
        server.reply = reply
        openai = ENGINE["openai"] | {"url": server.url, "dialect": dialect}
        engine = open_engine(
            EngineParams.model_validate(ENGINE | {"name": "openai", "model": "served", "openai": openai})
        )
        keeps_the_contract(engine, constrained=True)
        keeps_the_contract(engine, constrained=False)
        engine.close()
        engine.close()


def test_other_weights_in_the_same_folder_are_another_model(tmp_path) -> None:
    folder, weights = tmp_path / "llama", bytearray(40 * 1024 * 1024)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    before = name_of(str(folder))
    assert before == name_of(str(folder)) and before.startswith("llama@")
    weights[len(weights) // 3 :: 100_000] = bytes([1]) * len(weights[len(weights) // 3 :: 100_000])
    (folder / "model.safetensors").write_bytes(weights)  # as large as before
    assert name_of(str(folder)) != before
    assert name_of("meta-llama/Llama-3.1-70B-Instruct") == "meta-llama/Llama-3.1-70B-Instruct"
