"""The parameters of the text encoder; torch is not needed to check them."""

from typing import Literal

from pydantic import Field

from kmerl.section import Section

Pooling = Literal["mean", "cls", "pooler"]


class TextParams(Section):
    """The text encoder F_T and how a text becomes one vector."""

    encoder: str = Field(
        description="a folder, a Hugging Face name (paper: ncbi/MedCPT-Query-Encoder), or package:NAME/FOLDER for "
        "a model that an installed Python package carries"
    )
    pooling: Pooling = Field(description="mean over tokens (paper: AvgPool, section 2.5), cls, or pooler (MERL's code)")
    max_tokens: int = Field(ge=8, le=4096, description="longer texts are cut; in tokens (MERL: 256)")
    batch: int = Field(ge=1, description="texts embedded at a time")
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")
