"""What models said: the questions, where a model state comes from, its runs and their outputs."""

from predictions.models.imports import PredictionImport
from predictions.models.outputs import ImageOutcome, PredictedObject, TextPrediction
from predictions.models.runs import PredictionRun, RunOrigin, RunStatus
from predictions.models.sets import PredictionSet, PredictionSetItem, PredictionSetVersion, SetKind
from predictions.models.training import Checkpoint, JobToken, TrainingJob, TrainingStatus

__all__ = [
    "Checkpoint",
    "ImageOutcome",
    "JobToken",
    "PredictedObject",
    "PredictionImport",
    "PredictionRun",
    "PredictionSet",
    "PredictionSetItem",
    "PredictionSetVersion",
    "RunOrigin",
    "RunStatus",
    "SetKind",
    "TextPrediction",
    "TrainingJob",
    "TrainingStatus",
]
