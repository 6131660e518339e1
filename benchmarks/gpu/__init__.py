"""What pretraining does on a GPU, in six minutes: ``python -m benchmarks.gpu``; see README.md beside this."""
