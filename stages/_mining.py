"""What the stages share that ask a language model: where answers are kept, and what a run cost."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kmerl.artifacts import whole
from kmerl.knowledge.asking import Asking, Tally
from kmerl.section import laid_over


class Step:
    """One step of the mining under a variant of its parameters, and who is asked for it.

    Attributes:
        params: of the step.
        asking: as the library wants it.
        cost: of this run, once the dialogue has ended.
    """

    def __init__(self, params: Any, name: str, variant: str, stage: str) -> None:
        # answers outlive what is computed from them, and may lie where other projects find them
        store = Path(os.environ.get("KMERL_ANSWERS") or ".answers")
        changes = getattr(params.plan.knowledge, variant)

        def of_variant(section: str) -> Any:
            return laid_over(getattr(params.knowledge, section), getattr(changes, section))

        self.params = of_variant(name)
        self.asking = Asking(of_variant("engine"), of_variant("ask"), store, self._note)
        self.cost = Tally()
        self._stage = stage

    def _note(self, tally: Tally) -> None:
        """Keep what the run cost beside its log: outputs hold no times."""
        self.cost = tally
        record = {"model": self.asking.engine.model, "engine": self.asking.engine.name, **asdict(tally)}
        with whole(Path("logs") / f"{self._stage}.cost.json") as temporary:
            temporary.write_text(json.dumps(record) + "\n", "utf-8")
