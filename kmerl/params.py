"""The whole of ``params.yaml`` as one checked tree. ``python -m kmerl.params`` lists every parameter.

Only programs import this module: each area's section lives beside the code that uses it, so that a new parameter
of one area does not count as a change of the others.
"""

import json
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, create_model, field_validator, model_validator

from kmerl.archives.archive import ArchiveParams
from kmerl.archives.classes import tasks
from kmerl.archives.fetch.params import FetchParams
from kmerl.archives.fetch.sources import SOURCES
from kmerl.archives.places import check_places
from kmerl.archives.registry import ARCHIVES
from kmerl.archives.simulate.params import SimulateParams
from kmerl.errors import UserError
from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluations.registry import rooms
from kmerl.features.params import RANDOM_CONVOLUTIONS, EmbedEcgParams, RandomConvolutionsParams
from kmerl.knowledge.cleaning import ReportsParams
from kmerl.knowledge.params import KnowledgeParams
from kmerl.methods import NAMES
from kmerl.methods import load as load_method
from kmerl.naming import check_distinct, checked, clipped, shortened
from kmerl.plan import STEPS, Run, Suite, plan
from kmerl.plots.params import FiguresParams
from kmerl.preprocessing.blocks import PreprocessParams
from kmerl.quality.params import QualityParams
from kmerl.section import Section, laid_over
from kmerl.text.params import TextParams
from kmerl.training.params import PretrainParams
from kmerl.training.recipe import recipe
from kmerl.yaml_file import read_mapping

_METHODS: Any = {name: (load_method(name).section, ...) for name in NAMES}
MethodsParams: Any = create_model("MethodsParams", __base__=Section, **_METHODS)


_EVALUATIONS: Any = {name: (room.PARAMS, ...) for name, room in rooms().items()}
if TYPE_CHECKING:

    class _Evaluations(Section):
        zeroshot: Any
        linear_probe: Any
else:
    _Evaluations = create_model("_Evaluations", __base__=Section, **_EVALUATIONS)


class Params(_Evaluations):
    """All parameters of the pipeline."""

    seed: int = Field(ge=0, description="every random draw derives from it and from the name of what draws")
    pretraining_archive: str = Field(description="the archive that runs are pretrained on; it needs reports")
    archives: dict[str, ArchiveParams] = Field(min_length=1, description="archive -> where it lies")
    simulated: list[str] = Field(description="archives that the pipeline simulates; empty where all are real")
    fetched: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        description="what the pipeline fetches -> the folder it goes into; empty where the user has it"
    )
    fetch: FetchParams
    simulate: SimulateParams
    preprocess: PreprocessParams
    reports: ReportsParams
    knowledge: KnowledgeParams
    text: TextParams
    pretrain: PretrainParams
    methods: MethodsParams = Field(description="what each method adds to pretraining")
    runs: dict[str, Run] = Field(min_length=1, description="run -> its method, and what differs from the base")
    suites: dict[str, Suite] = Field(min_length=1, description="suite -> runs that are evaluated, and how")
    evaluation: EvaluationParams
    embed_ecg: EmbedEcgParams
    random_convolutions: RandomConvolutionsParams
    figures: FiguresParams
    quality: QualityParams

    @field_validator("runs", mode="before")
    @classmethod
    def _named(cls, runs: Any) -> Any:
        """Runs by names that folders and commands can bear."""
        for name in runs if isinstance(runs, dict) else ():
            if checked(name) == RANDOM_CONVOLUTIONS:
                raise ValueError(f"{name} is the name of the features that no run makes; choose another")
        check_distinct(runs if isinstance(runs, dict) else ())
        return runs

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What follows from runs and suites, see :func:`kmerl.plan.plan`."""
        return plan(self.runs, self.suites, self.linear_probe.baselines, self.seed)

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        if self.pretraining_archive not in self.archives:
            raise ValueError(f"pretraining_archive {self.pretraining_archive!r} is not among archives")
        self._make_runs()
        for name in {*self.archives, *self.simulated} - {*ARCHIVES}:
            raise ValueError(f"archive {name!r} has no reader; the archives are {', '.join(ARCHIVES)}")
        for name in self.simulated:
            if name not in self.archives:
                raise ValueError(f"simulated: {name!r} is not among archives; say there where it lies")
        for name, folder in self.fetched.items():
            self._check_fetched(name, folder)
        self._refer()
        _ = self.plan  # raises where two things would have one name
        return self

    def _make_runs(self) -> None:
        """Every run can be made of what is said of it, and asked as it is to be."""
        asking = {name for name, room in rooms().items() if getattr(room, "ASKS", False)}
        for name, run in self.runs.items():
            if run.method not in NAMES:
                raise ValueError(f"runs.{name}.method: {run.method!r} is none; name one of {', '.join(NAMES)}")
            if unknown := {*run.knowledge} - {*STEPS}:
                raise ValueError(f"runs.{name}.knowledge: {', '.join(map(str, unknown))}: is of all runs; leave it out")
            try:
                made = recipe(run.method, self.pretrain, getattr(self.methods, run.method), run.pretrain, run.options)
            except ValidationError as error:
                raise ValueError(f"runs.{name}: {_first(error)}") from None
            except ValueError as error:
                raise ValueError(f"runs.{name}: {error}") from None
            for section in ("text", "knowledge"):
                try:
                    laid_over(getattr(self, section), getattr(run, section))
                except ValidationError as error:
                    raise ValueError(f"runs.{name}.{section}.{_first(error)}") from None
            length, reason = made.params.model.tokens.length, made.method.unaskable()
            if length > self.preprocess.samples:
                raise ValueError(
                    f"runs.{name}: model.tokens.length {length} exceeds the {self.preprocess.samples} samples of "
                    "a record"
                )
            for suite, one in self.suites.items():
                if reason and name in one.runs and asking & {*one.evaluations}:
                    raise ValueError(f"suites.{suite}.runs: {name!r}: {reason}; leave it out, or what asks by name")

    def _check_fetched(self, name: str, folder: str) -> None:
        """What is fetched exists somewhere, goes where it is read, and is there before it is read."""
        if name not in SOURCES:
            raise ValueError(f"fetched: {name!r} is no source; the sources are {', '.join(SOURCES)}")
        if name in self.simulated:
            raise ValueError(f"fetched: {name!r} is simulated; take it out of one of both")
        receipt = f"data/fetched/{name}.json"
        for key, wanted in {"folder": folder, "watch": receipt}.items():
            if name in self.archives and getattr(self.archives[name], key) != wanted:
                raise ValueError(f"fetched: {name!r} is fetched into {folder}; set archives.{name}.{key} to {wanted}")

    def _refer(self) -> None:
        """Names that refer to other sections exist there."""
        for suite, one in self.suites.items():
            for name in one.runs:
                if name not in self.runs:
                    raise ValueError(
                        f"suites.{suite}.runs: {name!r} is not among runs; name one of {', '.join(self.runs)}"
                    )
            if one.compare_with not in (None, *one.runs):
                raise ValueError(f"suites.{suite}.compare_with: {one.compare_with!r} is not among the suite's runs")
        for name in rooms():
            if not any(name in one.evaluations for one in self.suites.values()):
                raise ValueError(f"suites: no run is evaluated by {name}; name it in one of {', '.join(self.suites)}")
        for name in self.linear_probe.baselines:
            if name != RANDOM_CONVOLUTIONS:
                raise ValueError(f"linear_probe.baselines: {name!r} is none; the only one is {RANDOM_CONVOLUTIONS}")
        for name in self.knowledge.scored:
            if name not in self.simulated or name != self.pretraining_archive:
                raise ValueError(f"knowledge.scored: {name!r} is not the simulated archive whose reports are mined")
        for name in self.evaluation.archives:
            if name not in self.archives or not tasks(name):
                raise ValueError(f"evaluation.archives: {name!r} is no archive with labels, or not among archives")
        for name in self.figures.compare:
            if name not in self.zeroshot.leads:
                raise ValueError(f"figures.compare: {name!r} is no lead set of zeroshot.leads; name one of these")


def _first(error: ValidationError) -> str:
    """The first problem of a validation, as `dotted.name: what is wrong`."""
    # a value given as a mapping was not meant as one of the names that would do as well
    problems = [p for p in error.errors() if not (p["type"] == "literal_error" and isinstance(p["input"], dict))]
    # a misspelt parameter is also a missing one; its own spelling tells more
    problem = min(problems or error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    # of alternatives pydantic names the one it tried: literal[...] or a class
    name = ".".join(str(part) for part in problem["loc"] if not str(part).startswith(("literal[", "Shape")))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown parameter; check its spelling"
    elif problem["type"] == "missing":
        message = "missing; copy it from the repository's params.yaml"
    elif not isinstance(problem["input"], dict):
        message += f" (it is {shortened(problem['input'])})"
    return f"{name}: {message}" if name else message


def check(values: Any, source: str) -> Params:
    """The tree of already parsed values.

    Raises:
        UserError: a parameter is unknown, missing, of a wrong type or out of range; the message names it.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(clipped(f"{source}: {_first(error)}")) from None


def load(path: Path) -> Params:
    """Read and check a parameters file.

    Raises:
        UserError: the file is missing, is not YAML, :func:`check` refuses it, or an archive cannot lie where it says.
    """
    params = check(read_mapping(path), str(path))
    try:
        check_places(params.archives, params.fetched)
    except ValueError as error:
        raise UserError(clipped(f"{path}: {error}")) from None
    return params


def describe(schema: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """One line per parameter: dotted name and what it is; ``*`` stands for any name.

    Args:
        schema: JSON schema of a section.
        definitions: the sections it refers to.
        prefix: before the names.
    """
    for name, entry in schema.get("properties", {}).items():
        dotted = f"{prefix}{name}"
        if "$ref" not in entry:
            yield f"{dotted:48} {entry.get('description', '')}"
        sections = [(option, f"{dotted}.") for option in (entry, *entry.get("anyOf", []))]
        sections.append((entry.get("additionalProperties"), f"{dotted}.*."))  # of a mapping
        for section, within in sections:
            if isinstance(section, dict) and "$ref" in section:
                yield from describe(definitions[section["$ref"].rpartition("/")[2]], definitions, within)


def main(argv: list[str]) -> int:
    """List the parameters, or with ``--schema`` print their JSON schema."""
    schema = Params.model_json_schema()
    if argv == ["--schema"]:
        print(json.dumps(schema, indent=1))
        return 0
    print("\n".join(describe(schema, schema["$defs"])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
