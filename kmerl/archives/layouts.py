"""Names of files and columns of archives in their official layout, which readers and simulators share."""

import re

CPSC2018_REFERENCE = "REFERENCE.csv"
CPSC2018_HEADER = re.compile(r"A[0-9]{4}\.hea")
"""Names of the mirror's headers."""
CPSC2018_COLUMNS: tuple[str, ...] = ("First_label", "Second_label", "Third_label")
CPSC2018_LABELS: dict[str, str] = {
    "1": "NORM", "2": "AFIB", "3": "1AVB", "4": "CLBBB", "5": "CRBBB", "6": "PAC", "7": "VPC", "8": "STD", "9": "STE",
}  # fmt: skip
"""The published class of each label number."""
CPSC2018_SNOMED: dict[str, str] = {
    "426783006": "NORM", "164889003": "AFIB", "270492004": "1AVB", "164909002": "CLBBB", "59118001": "CRBBB",
    "284470004": "PAC", "164884008": "VPC", "429622005": "STD", "164931005": "STE",
}  # fmt: skip
"""The published class of each SNOMED CT code of the mirror."""
CSN_TABLE = "ConditionNames_SNOMED-CT.csv"
CSN_RECORDS = "WFDBRecords"
