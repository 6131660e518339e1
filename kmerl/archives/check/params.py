"""What a record must be to be used, by the pipeline's own parameters."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from kmerl.errors import UserError
from kmerl.preprocessing.repair import WaveformParams
from kmerl.regular import content_of

_LARGEST = 1 << 22  # bytes of a file of parameters

DEFAULTS = WaveformParams(fs=500, seconds=10, min_seconds=5, min_leads=1, max_nan_share=0.1, derive_limb_leads=False)
"""The values of the repository's params.yaml, for use outside of a project's folder; a test compares them."""


def params_of(file: Path, changes: Mapping[str, float | None]) -> tuple[WaveformParams, str]:
    """The section ``preprocess`` of a project's parameters, or :data:`DEFAULTS`, and where they come from.

    Args:
        file: where a project keeps its parameters; another program's file of this name is none.
        changes: parameter -> value that overrides it; None leaves it.

    Raises:
        UserError: the project's parameters, or the changes, are impossible.
    """
    base, source = DEFAULTS, "recommended values"
    if _of_a_project(file):
        from kmerl.params import load  # imports every area of the project

        base, source = load(file).preprocess, str(file)
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        values = {name: getattr(base, name) for name in WaveformParams.model_fields}
        return WaveformParams.model_validate({**values, **given}), source
    except ValidationError as error:
        problem = error.errors()[0]
        option = "--" + "_".join(map(str, problem["loc"])).replace("_", "-")
        raise UserError(f"{option} {problem['input']}: {problem['msg'].lower()}; --help lists the options") from None


def described(params: WaveformParams) -> str:
    """Parameters in words."""
    leads = f"{params.min_leads} lead" if params.min_leads == 1 else f"{params.min_leads} leads"
    return (
        f"{params.seconds:g} s at {params.fs} Hz, from at least {params.min_seconds:g} s and {leads} "
        f"without gaps of more than {100 * params.max_nan_share:g}%"
    )


def _of_a_project(file: Path) -> bool:
    try:
        values = yaml.safe_load(content_of(file, _LARGEST).decode("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return False
    return isinstance(values, dict) and "preprocess" in values and "archives" in values
