"""Tiny archives in their official layouts, written with the wfdb package, and their way into a store."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import wfdb
from numpy.typing import NDArray
from scipy.io import savemat

from kmerl.archives.archive import SplitParams
from kmerl.archives.classes import class_names
from kmerl.archives.registry import open_archive
from kmerl.archives.schemas import ENTRIES, REJECTED, SPLITS
from kmerl.artifacts import read_table, write_table
from kmerl.catalogue import Outputs, catalogue
from kmerl.leads import LEADS
from kmerl.preprocessing.blocks import PreprocessParams, Source, preprocess
from kmerl.waveforms import WaveformStore

SPLIT = SplitParams(unit="patient", valid_share=0.3, test_share=0.2)
MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def params(**changes: object) -> PreprocessParams:
    values = {
        "fs": 500, "seconds": 10, "min_seconds": 5, "min_leads": 6, "max_nan_share": 0.1, "derive_limb_leads": False,
        "shard_records": 3, "parts": ["1of1"],
    }  # fmt: skip
    return PreprocessParams.model_validate({**values, **changes})


@dataclass(frozen=True)
class Made:
    """What became of an archive: its store and its tables, all rejected records in one."""

    waveforms: Path
    statements: Path
    targets: Path
    rejected: Path
    differences: Path
    splits: Path

    def store(self) -> WaveformStore:
        return WaveformStore(self.waveforms, read_table(self.splits, SPLITS))


def read(archive, folder: Path, out: Path, seed=1, split=SPLIT, labels="corrected", processes=1, **changes):
    """Both stages of an archive: their summaries in one line, and what they made."""
    paths = {name: out / f"{name}.parquet" for name in Outputs.__dataclass_fields__}
    reader = open_archive(archive, folder)
    first = catalogue(reader, archive, "recorded", split, labels, seed, Outputs(**paths))
    source = Source(folder, archive, "recorded", params(**changes), out / "scratch")
    entries, lost = read_table(paths["entries"], ENTRIES), out / "lost.parquet"
    second = preprocess(source, entries, out / "waveforms", lost, processes)
    rejected = pl.concat([read_table(paths["rejected"], REJECTED), read_table(lost, REJECTED)])
    write_table(out / "all_rejected.parquet", rejected, REJECTED)
    made = Made(
        out / "waveforms", paths["statements"], paths["targets"], out / "all_rejected.parquet", paths["differences"],
        paths["splits"],
    )  # fmt: skip
    return f"{first}; {second}", made


def noise(seed: int, leads: int = 12, samples: int = 5000) -> NDArray[np.int16]:
    """(S, leads) samples as the wfdb package takes them; twelve of them are related as an ECG's leads are."""
    found = np.random.default_rng(seed).integers(-900, 900, (samples, leads)).astype(np.int16)
    if leads == 12:
        one, two = found[:, 0], found[:, 1]
        found[:, 2:6] = np.stack([two - one, -(one + two) // 2, one - two // 2, two - one // 2], axis=1)
    return found


def write_record(
    path: Path,
    samples: NDArray[np.int16],
    leads: Sequence[str] = LEADS,
    fs: int = 500,
    gain: float = 200.0,
    baseline: int = 0,
    unit: str = "mV",
    format: str = "16",
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(leads)
    wfdb.wrsamp(
        path.name, fs=fs, units=[unit] * n, sig_name=list(leads), d_signal=samples, fmt=[format] * n,
        adc_gain=[gain] * n, baseline=[baseline] * n, write_dir=str(path.parent),
    )  # fmt: skip


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def mimic_tables(folder: Path, studies: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Both tables of MIMIC-IV-ECG for study -> (subject, statements), the second in the opposite order."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = [
        {
            "subject_id": subject,
            "study_id": study,
            "file_name": study,
            "ecg_time": "",
            "path": f"files/s{study}/{study}",
        }
        for study, (subject, _) in studies.items()
    ]
    measured = [
        {
            "subject_id": subject,
            "study_id": study,
            **{f"report_{i}": statements[i] if i < len(statements) else "" for i in range(18)},
            "rr_interval": 29999,
        }
        for study, (subject, statements) in reversed(studies.items())
    ]
    write_csv(folder / "record_list.csv", listed)
    write_csv(folder / "machine_measurements.csv", measured)


def write_mimic(folder: Path, studies: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    mimic_tables(folder, studies)
    for study in studies:
        write_record(folder / f"files/s{study}/{study}", noise(int(study)), MIMIC_ORDER)


SCP = {  # code -> diagnostic, form, rhythm, class, subclass
    "NORM": ("1.0", "", "", "NORM", "NORM"),
    "NST_": ("1.0", "1.0", "", "STTC", "NST_"),
    "1AVB": ("1.0", "", "", "CD", "_AVB"),
    "SR": ("", "", "1.0", "", ""),
    "LVOLT": ("", "1.0", "", "", ""),
}


def ptb_xl_tables(folder: Path, rows: Sequence[tuple[str, str, int, str]]) -> None:
    """Both tables of PTB-XL for (ecg_id, patient_id, fold, scp_codes)."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"]
    write_csv(folder / "scp_statements.csv", [dict(zip(columns, (c, *v), strict=True)) for c, v in SCP.items()])
    database = [
        {
            "ecg_id": ecg_id, "patient_id": patient, "report": "sinusrhythmus", "scp_codes": codes, "strat_fold": fold,
            "filename_lr": f"records100/{ecg_id}_lr", "filename_hr": f"records500/{ecg_id}_hr",
        }
        for ecg_id, patient, fold, codes in rows
    ]  # fmt: skip
    write_csv(folder / "ptbxl_database.csv", database)


def write_cpsc2018(folder: Path, labels: Mapping[str, str], **signals: NDArray[np.float64]) -> None:
    """CPSC2018's original layout for record -> labels ("5,7"); a record may have its own signals (12, n) in mV."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("First_label", "Second_label", "Third_label")
    rows = []
    for record, given in labels.items():
        cells = [*given.split(","), "", ""][:3]
        rows.append({"Recording": record, **dict(zip(columns, cells, strict=True))})
        data = signals.get(record, noise(len(record)).T / 1000)
        savemat(folder / f"{record}.mat", {"ECG": {"sex": "Male", "age": 50, "data": data}}, do_compression=True)
    write_csv(folder / "REFERENCE.csv", rows)


def csn_codes() -> dict[str, str]:
    """Acronym -> a made-up SNOMED CT code, for each class of CSN, and for SB, which is none."""
    return {acronym: str(1000 + i) for i, acronym in enumerate([*class_names("csn"), "SB"])}


def write_csn(
    folder: Path,
    dx: Mapping[str, str | None],
    header: str = "Acronym Name,Full Name,Snomed_CT",
    samples: int = 5000,
) -> None:
    """CSN's layout for record -> codes ("1,2"; None: no such line), all in one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [header, *(f"{acronym},some name,{code}" for acronym, code in csn_codes().items())]
    (folder / "ConditionNames_SNOMED-CT.csv").write_text("\n".join(lines) + "\n", "utf-8")
    for number, (record, codes) in enumerate(dx.items()):
        path = folder / "WFDBRecords/01/010" / record
        write_record(path, noise(number, samples=samples), gain=1000.0)
        data = path.with_suffix(".dat")
        path.with_suffix(".mat").write_bytes(b"\0" * 24 + data.read_bytes())
        data.unlink()
        text = path.with_suffix(".hea").read_text().replace(f"{record}.dat 16 ", f"{record}.mat 16x1+24 ")
        text += "#Age: 59\n" + ("" if codes is None else f"#Dx: {codes}\n")
        path.with_suffix(".hea").write_text(text)
