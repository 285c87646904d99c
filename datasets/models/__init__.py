from datasets.models.imports import DatasetImport
from datasets.models.jobs import Job, JobQuerySet, JobStatus
from datasets.models.truth import Annotation, AreaRule, Category, Dataset, Sample, Split
from datasets.models.uploads import Upload

__all__ = [
    "Annotation",
    "AreaRule",
    "Category",
    "Dataset",
    "DatasetImport",
    "Job",
    "JobQuerySet",
    "JobStatus",
    "Sample",
    "Split",
    "Upload",
]
