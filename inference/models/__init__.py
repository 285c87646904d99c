"""Making models say it: jobs, their chunks, results per image, and the weights that an admin trusts."""

from inference.models.exports import CheckpointExport, ExportFormat
from inference.models.jobs import ChunkStatus, InferenceChunk, InferenceJob, InferenceKind
from inference.models.results import InferenceResult, ResultState
from inference.models.trust import TrustedWeights

__all__ = [
    "CheckpointExport",
    "ChunkStatus",
    "ExportFormat",
    "InferenceChunk",
    "InferenceJob",
    "InferenceKind",
    "InferenceResult",
    "ResultState",
    "TrustedWeights",
]
