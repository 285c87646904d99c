"""What models said: the questions, where a model state comes from, its runs and their outputs."""

from predictions.models.checkpoints import Checkpoint
from predictions.models.imports import PredictionImport
from predictions.models.leakage import LeakageCheck
from predictions.models.outputs import ImageOutcome, PredictedLabel, PredictedObject, TextPrediction
from predictions.models.runs import PredictionRun, RunOrigin, RunStatus
from predictions.models.sets import PredictionSet, PredictionSetItem, PredictionSetVersion, SetKind
from predictions.models.training import JobToken, TrainingJob, TrainingStatus

__all__ = [
    "Checkpoint",
    "ImageOutcome",
    "JobToken",
    "LeakageCheck",
    "PredictedLabel",
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
