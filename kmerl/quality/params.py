"""The section ``quality`` of the parameters."""

from pydantic import Field

from kmerl.section import Section


class QualityParams(Section):
    """What the page of flaws shows, and how finely."""

    examples: int = Field(ge=0, le=20, description="records drawn for each flag, over all archives")
    dpi: int = Field(ge=50, le=200, description="pixels per inch of the records on ECG paper")
