from pathlib import Path

from kmerl.errors import UserError
from kmerl.toy import ran


def main(params, item):
    ran(f"preprocess@{item}")
    if params.preprocess["factor"] < 0:
        raise UserError("preprocess.factor is negative; make it positive")
    values = Path(f"data/simulated/{item}/values.txt").read_text().split()
    folder = Path(f"data/waveforms/{item}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shard.txt").write_text(" ".join(str(float(value) * params.preprocess["factor"]) for value in values))
    Path("data/rejected").mkdir(exist_ok=True)
    Path(f"data/rejected/{item}.csv").write_text("record,reason\n")
    return f"{len(values)} records"
