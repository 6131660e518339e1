"""The section `fetch` of the repository's params.yaml, for use outside a project's folder; a test holds them equal."""

from typing import Any

RECOMMENDED: dict[str, Any] = {
    "physionet_url": "https://physionet.org/files/",
    "merl_url": "https://raw.githubusercontent.com/cheliu-computation/MERL-ICML2024/",
    "leave_out": {"ptb_xl": ["records100/"]},
    "connections": 3,
    "connect_seconds": 20,
    "stall_seconds": 60,
    "attempts": 8,
    "first_wait_seconds": 1,
    "longest_wait_seconds": 120,
    "measured_files": 10,
}
