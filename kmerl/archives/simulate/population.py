"""Who is recorded how often, with what: the part of a simulated archive that all archives share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from kmerl.archives.simulate import conditions, hearts
from kmerl.randomness import generator
from kmerl.section import Section


class PopulationParams(Section):
    """People and their recordings."""

    most_records_per_patient: int = Field(description="recordings per patient: uniform from 1 to this", ge=1, le=50)
    enriched: float = Field(
        description="share of patients who get one condition by rota, so that rare ones occur",
        ge=0, le=1)  # fmt: skip
    torso: float = Field(description="relative variation of lead vectors between patients", ge=0, le=0.3)


@dataclass(frozen=True)
class Visit:
    """One recording to be made: of whom, with what."""

    patient: hearts.Patient
    index: int  # among the patient's recordings
    conditions: list[str]
    prior: list[str] | None  # of the patient's previous recording
    draw: np.random.Generator


def visits(seed: int, archive: str, part: str, records: int, params: PopulationParams, first: int) -> Iterator[Visit]:
    """``records`` recordings of as many patients as that takes, a patient's recordings one after another.

    Args:
        seed: the pipeline's seed.
        archive: whose population.
        part: name of the part of the archive; the rota over conditions starts anew in each.
        records: how many recordings.
        params: of the population.
        first: number of the first patient.
    """
    rota = [c.key for c in conditions.table().values() if c.weights[archive] > 0]
    generator(seed, archive, part, "rota").shuffle(rota)
    made, turn, number = 0, 0, first
    while made < records:
        forced = None
        if int((number - first + 1) * params.enriched) > int((number - first) * params.enriched):
            forced, turn = rota[turn % len(rota)], turn + 1
        chronic = forced if forced and conditions.table()[forced].course == "chronic" else None
        person = hearts.patient(seed, archive, number, params.torso, chronic)
        count = int(generator(seed, archive, "count", number).integers(1, params.most_records_per_patient + 1))
        prior: list[str] | None = None
        for index in range(min(count, records - made)):
            draw = generator(seed, archive, "record", number, index)
            # a forced acute condition is there once, a chronic one on every visit
            keys = hearts.findings(archive, person, draw, chronic or (forced if index == 0 else None))
            yield Visit(person, index, keys, prior, draw)
            prior = keys
            made += 1
        number += 1


def age_text(patient: hearts.Patient) -> int:
    """Age in years as archives give it: above 89 it is 300."""
    return 300 if patient.age > 89 else patient.age
