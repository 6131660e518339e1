"""The ``knowledge`` section of params.yaml, put together from its steps' own sections."""

from kmerl.knowledge.engines import EngineParams
from kmerl.knowledge.extract import ExtractParams
from kmerl.knowledge.labels import LabelsParams
from kmerl.knowledge.merge import MergeParams
from kmerl.knowledge.superclass import SuperclassParams
from kmerl.knowledge.verify import VerifyParams
from kmerl.section import Section


class KnowledgeParams(Section):
    """Labels from reports, step by step."""

    engine: EngineParams
    extract: ExtractParams
    verify: VerifyParams
    merge: MergeParams
    superclass: SuperclassParams
    labels: LabelsParams
