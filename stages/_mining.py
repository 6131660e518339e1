"""What the stages share that ask a language model: where answers are kept, and what a run cost."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kmerl.artifacts import whole
from kmerl.knowledge.asking import Asking, Tally


class Asker:
    """Who is asked on behalf of a stage.

    Attributes:
        asking: as the library wants it.
        cost: of this run, once the dialogue has ended.
    """

    def __init__(self, params: Any, stage: str) -> None:
        # answers outlive what is computed from them, and may lie where other projects find them
        store = Path(os.environ.get("KMERL_ANSWERS") or ".answers")
        self.asking = Asking(params.knowledge.engine, params.knowledge.ask, store, self._note)
        self.cost = Tally()
        self._stage = stage

    def _note(self, tally: Tally) -> None:
        """Keep what the run cost beside its log: outputs hold no times."""
        self.cost = tally
        record = {"model": self.asking.engine.model, "engine": self.asking.engine.name, **asdict(tally)}
        with whole(Path("logs") / f"{self._stage}.cost.json") as temporary:
            temporary.write_text(json.dumps(record) + "\n", "utf-8")
