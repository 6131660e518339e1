"""The ``knowledge`` section of params.yaml, put together from its steps' own sections."""

from pydantic import Field

from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.extract import ExtractParams
from kmerl.knowledge.labels import LabelsParams
from kmerl.knowledge.merge import MergeParams
from kmerl.knowledge.requests import AskParams
from kmerl.knowledge.superclass import SuperclassParams
from kmerl.knowledge.verify import VerifyParams
from kmerl.parts import Parts
from kmerl.section import Section


class KnowledgeParams(Section):
    """Labels from reports, step by step."""

    parts: Parts = Field(description="1of1, or 1of4 to 4of4: pieces of the reports that jobs of their own ask about")
    scored: list[str] = Field(description="simulated archives against whose truth the mining is judged")
    engine: EngineParams
    ask: AskParams
    extract: ExtractParams
    verify: VerifyParams
    merge: MergeParams
    superclass: SuperclassParams
    labels: LabelsParams
