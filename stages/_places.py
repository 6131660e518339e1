"""Where stages keep what they make."""

from pathlib import Path

DATA = Path("data")
KNOWLEDGE, REPORTS = DATA / "knowledge", DATA / "reports"
