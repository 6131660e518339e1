"""How patiently a server is asked; checking these parameters needs no HTTP client."""

from pydantic import Field

from kmerl.section import Section


class Patience(Section):
    """How long a server is waited for, and how often it is tried."""

    connect_seconds: float = Field(gt=0, description="s, until a connection stands")
    attempts: int = Field(ge=1, le=100, description="tries that bring nothing new, then a file or question is given up")
    first_wait_seconds: float = Field(ge=0, description="s before the second try; doubled before each further one")
    longest_wait_seconds: float = Field(
        ge=0, description="s, the longest wait before a try; a server that asks for more ends the run"
    )
