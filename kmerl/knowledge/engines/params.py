"""Which engine answers, and how it is asked; reading these parameters needs none of the engines."""

from typing import Literal

from pydantic import Field

from kmerl.patience import Patience
from kmerl.section import Section


class LexiconParams(Section):
    """How the lexicon engine reads hedged findings; the paper's prompt asks for "all positive" entities."""

    uncertain: Literal["positive", "negative"] = Field(
        description="a finding that is possible, probable, considered, suggested or borderline"
    )
    not_excluded: Literal["positive", "negative"] = Field(
        description="a finding that the reader only cannot rule out, which is weaker than possible"
    )


class OpenAiParams(Patience):
    """A server with OpenAI's interface: where it is, how it wants constraints, how patiently it is asked."""

    url: str | None = Field(
        description="of the server, up to and with its version, as http://127.0.0.1:8000/v1; null: OPENAI_BASE_URL"
    )
    key_variable: str = Field(
        min_length=1, description="environment variable that holds the key; it may be unset, and is never written"
    )
    dialect: Literal["openai", "vllm", "llama_cpp"] = Field(
        description="how constraints are sent: openai (response_format), vllm (structured_outputs), llama_cpp (grammar)"
    )
    connections: int = Field(ge=1, le=4096, description="questions under way at a time")
    requests_per_minute: int | None = Field(ge=1, description="most questions begun in a minute; null: no limit")
    answer_seconds: float = Field(gt=0, description="s without a byte of the answer")


class VllmParams(Section):
    """vLLM's offline engine, in an environment of its own (``make vllm``)."""

    python: str = Field(min_length=1, description="interpreter of vLLM's environment")
    tensor_parallel: int = Field(ge=1, description="GPUs over which each layer is split: those of a node")
    pipeline_parallel: int = Field(ge=1, description="groups of such GPUs over which layers are split: nodes")
    context: int = Field(ge=64, description="tokens; longest question with its answer")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(description="of weights and activations")
    memory_share: float = Field(gt=0, le=1, description="of a GPU's memory that vLLM takes")
    sequences: int = Field(ge=1, description="questions computed side by side, at most")
    eager: bool = Field(description="without compiled graphs: starts faster, answers slower")
    batch_invariant: bool = Field(description="same bytes whatever is asked beside it (VLLM_BATCH_INVARIANT); slower")
    start_seconds: float = Field(gt=0, description="s until the model must have been loaded")


class EngineParams(Section):
    """Which engine answers, and how it samples."""

    name: Literal["lexicon", "openai", "vllm"] = Field(
        description="engine: lexicon (deterministic, needs no model), openai (any compatible server) or vllm (offline)"
    )
    model: str = Field(
        min_length=1,
        description="the model to ask: a server's name for it, a hub's name or a folder; for the lexicon any name",
    )
    temperature: float = Field(ge=0, le=2, description="sampling temperature; 0 takes the most probable token")
    seed: int = Field(ge=0, description="of the sampling, where the temperature is not 0")
    lexicon: LexiconParams
    openai: OpenAiParams
    vllm: VllmParams
