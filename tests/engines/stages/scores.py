from pathlib import Path

from kmerl.artifacts import whole, write_json
from kmerl.toy import ran


def main(params, item):
    ran(f"scores@{item}")
    shards = sorted(Path(f"data/waveforms/{item}").glob("*/shard.txt"))
    values = [float(value) for shard in shards for value in shard.read_text().split()]
    with whole(f"data/scores/{item}") as folder:
        folder.mkdir()
        write_json(folder / "scores.json", {"large": sum(value > params.scores["largest"] for value in values)})
    return f"{len(values)} values"
