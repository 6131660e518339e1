"""K-MERL: knowledge-enhanced multimodal ECG representation learning with arbitrary-lead inputs.

``kmerl.load(folder).predict(signal, leads=["I", "II"], fs=250)`` uses a pretrained model; see :mod:`kmerl.use.model`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmerl.use.model import Model, load

__version__ = "0.1.0"
__all__ = ["Model", "load"]


def __getattr__(name: str) -> Any:
    """The model in use, imported when it is first asked for: a library module must not need it."""
    if name in __all__:
        return getattr(import_module("kmerl.use.model"), name)
    raise AttributeError(f"module 'kmerl' has no attribute {name!r}")
