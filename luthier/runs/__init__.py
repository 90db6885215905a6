"""The run directory: the only code that knows its file names."""

from luthier.runs.checkpoints import Checkpoint
from luthier.runs.comparison import KeptComparison, comparisons
from luthier.runs.environment import describe_environment, without_secrets
from luthier.runs.run import LogEntry, Run
from luthier.runs.status import State, Status

__all__ = [
    "Checkpoint",
    "KeptComparison",
    "LogEntry",
    "Run",
    "State",
    "Status",
    "comparisons",
    "describe_environment",
    "without_secrets",
]
