"""K-MERL: knowledge-enhanced multimodal ECG representation learning with arbitrary-lead inputs."""

__version__ = "0.1.0"
