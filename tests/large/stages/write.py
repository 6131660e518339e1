from pathlib import Path

from kmerl.artifacts import whole
from kmerl.toy import pieces, ran


def main(params):
    ran("write")
    with whole(Path("data/waveforms")) as folder:
        folder.mkdir()
        for number in range(params.files):
            with (folder / f"shard-{number:05d}.bin").open("wb") as file:
                file.writelines(pieces(params.seed, number, params.size))
    return f"{params.files} files"
