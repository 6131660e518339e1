"""The parameters of evaluation; torch is not needed to check them."""

from typing import Literal

from pydantic import Field, field_validator

from kmerl.errors import UserError
from kmerl.leads import LEADS, positions
from kmerl.section import Section


class ZeroshotParams(Section):
    """What is asked, of which leads, and how sure the answer is."""

    splits: list[Literal["train", "valid", "test"]] = Field(
        min_length=1, description="splits evaluated; test, unless the model saw none of them"
    )
    leads: dict[str, list[str]] = Field(min_length=1, description="name of a lead set -> its leads")
    batch: int = Field(ge=1, description="records encoded at a time")
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")
    bootstrap: int = Field(ge=100, description="resamples of patients behind an interval")
    confidence: float = Field(gt=0.5, lt=1, description="of the intervals")
    min_positives: int = Field(ge=1, description="fewest positives for the second macro average, beside the published")

    @field_validator("leads")
    @classmethod
    def _known(cls, sets: dict[str, list[str]]) -> dict[str, list[str]]:
        empty = [name for name, leads in sets.items() if not leads]
        if empty:
            raise ValueError(f"{empty[0]!r} names no lead")
        try:
            return {name: [LEADS[place] for place in positions(leads)] for name, leads in sets.items()}
        except UserError as error:
            raise ValueError(str(error)) from None
