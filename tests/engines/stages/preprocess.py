import json
from pathlib import Path

from kmerl.errors import UserError
from kmerl.toy import ran


def main(params, item):
    ran(f"preprocess@{item}")
    if params.preprocess["factor"] < 0:
        raise UserError("preprocess.factor is negative; make it positive")
    archive, _, part = item.rpartition("-")
    values = json.loads(Path(f"data/entries/{archive}.json").read_text())[int(part[0]) - 1 :: 2]
    folder = Path(f"data/waveforms/{archive}/{part}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shard.txt").write_text(" ".join(str(float(value) * params.preprocess["factor"]) for value in values))
    Path(f"data/rejected/{archive}").mkdir(parents=True, exist_ok=True)
    Path(f"data/rejected/{archive}/{part}.csv").write_text("record,reason\n")
    return f"{len(values)} records"
