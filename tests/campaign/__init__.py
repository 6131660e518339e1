"""Random faults on the whole pipeline: ``python -m tests.campaign --minutes N --seed S``."""
