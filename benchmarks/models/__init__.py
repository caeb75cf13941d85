"""Model files of the benchmark's workloads that are not among the project's models."""
