"""The evaluation of policies on benchmarks, in a folder that has the form of a run's."""
