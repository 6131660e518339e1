"""The section ``figures`` of the parameters."""

from pydantic import Field

from kmerl.section import Section


class FiguresParams(Section):
    """What is drawn, and how finely."""

    dpi: int = Field(ge=50, le=400, description="pixels per inch of the PNG files")
    examples: int = Field(ge=0, le=50, description="evaluated records drawn with the model's answers")
    pretraining_examples: int = Field(ge=0, le=50, description="pretraining records drawn with their mined entities")
    answers: int = Field(ge=1, le=12, description="classes shown per evaluated record, those of highest probability")
    compare: list[str] = Field(
        min_length=1, max_length=3, description="lead sets of `zeroshot` shown beside each other"
    )
