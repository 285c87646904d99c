"""What the API takes and tells of test runs."""

from typing import Any

from rest_framework import serializers

from datasets import task_types
from evaluation.exports import FORMATS
from evaluation.image_results import SORTS
from evaluation.metrics.matches import ErrorType
from evaluation.models import TestRun
from evaluation.object_changes import KINDS
from inference.settings_api import PredictingSerializer

ERRORS = [kind.name.lower() for kind in ErrorType if kind != ErrorType.NONE]
OUTCOMES = ("tp", "fp", "fn")
LIMIT, MOST = 50, 500
CLASS_HELP = "A class by its place in `class_names`, or by its name."
LARGEST = 2**63 - 1


class TestRunRequestSerializer(serializers.Serializer):
    """Either `prediction_run`, or a checkpoint (`checkpoint_id`, or `training_job_id` and `checkpoint`) with `dataset` and
    `dataset_split`, which is asked first.
    """

    prediction_run = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST, help_text="Id of a prediction run."
    )
    training_job_id = serializers.CharField(required=False, max_length=120, help_text="The training job's own id.")
    checkpoint = serializers.CharField(
        default="best", max_length=40, help_text="Of the training job: `best` by its metric, `last`, or an epoch's number."
    )
    checkpoint_id = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST)
    project = serializers.CharField(required=False, max_length=120, help_text="Slug, where several have a job of that id.")
    dataset = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST, help_text="Id of the dataset.")
    dataset_split = serializers.CharField(required=False, max_length=60, help_text="Left out: that of the prediction run.")
    set_version = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST, help_text="Id of a version of a curated set: only its images count."
    )
    protocol = serializers.CharField(
        default="", max_length=60, allow_blank=True, help_text="coco (default), ultralytics or voc; classification has its own."
    )
    rules = serializers.DictField(default=dict, help_text="Rules in the place of the protocol's, by name.")
    task_type = serializers.ChoiceField(
        default="", allow_blank=True, choices=task_types.choices(), help_text="Left out: that of the dataset."
    )
    name = serializers.CharField(default="", max_length=200, allow_blank=True)
    inference = PredictingSerializer(required=False, help_text="With a checkpoint: how it is asked.")


class IntervalField(serializers.ListField):
    child = serializers.FloatField()


class ClassMetricsSerializer(serializers.DictField):
    """Figures of one class, by name."""

    child = serializers.JSONField(allow_null=True)


class TestRunRowSerializer(serializers.ModelSerializer):
    """A test run without its tables, as it stands in lists."""

    project = serializers.CharField(source="project.slug", read_only=True)
    dataset_id = serializers.IntegerField(read_only=True)
    dataset = serializers.CharField(source="dataset.name", read_only=True)
    dataset_split = serializers.CharField(source="split.name", default=None, read_only=True, allow_null=True)
    set_version_id = serializers.IntegerField(read_only=True, allow_null=True)
    prediction_run_id = serializers.IntegerField(read_only=True, allow_null=True)
    training_job_id = serializers.CharField(source="training_job.job_id", default=None, read_only=True, allow_null=True)
    checkpoint_id = serializers.IntegerField(read_only=True, allow_null=True)
    checkpoint = serializers.CharField(source="checkpoint.__str__", default=None, read_only=True, allow_null=True)
    epoch = serializers.SerializerMethodField()
    inference_job_id = serializers.IntegerField(source="inference_id", read_only=True, allow_null=True)
    error_message = serializers.CharField(source="error", read_only=True)
    protocol = serializers.CharField(source="protocol_name", read_only=True)
    metrics = serializers.DictField(
        child=serializers.FloatField(allow_null=True), read_only=True, help_text="Null: not defined."
    )
    warnings = serializers.ListField(child=serializers.CharField(), read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True, allow_null=True)

    class Meta:
        model = TestRun
        fields = [
            "id", "name", "project", "status", "task_type", "primary_metric_name", "primary_metric_value", "overall_loss", "metrics",
            "warnings", "total_images", "correct_images", "inference_time_ms", "dataset_id", "dataset", "dataset_split",
            "set_version_id", "prediction_run_id", "training_job_id", "checkpoint_id", "checkpoint", "epoch", "inference_job_id",
            "protocol", "stage", "progress_done", "progress_total", "error_message", "created_by", "created_at", "started_at",
            "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_epoch(self, test_run: TestRun) -> float | None:
        for one in (test_run.prediction_run, test_run.checkpoint):
            if one is not None and one.epoch is not None:
                return one.epoch
        return None


class TestRunSerializer(TestRunRowSerializer):
    rules = serializers.DictField(source="protocol", read_only=True, help_text="Every rule that the figures were made under.")
    intervals = serializers.DictField(child=IntervalField(), read_only=True, help_text="95 %: low and high, by figure.")
    undefined = serializers.DictField(child=serializers.CharField(), read_only=True, help_text="Why a figure is not defined.")
    class_names = serializers.ListField(child=serializers.CharField(), read_only=True)
    per_class_metrics = serializers.ListField(child=ClassMetricsSerializer(), read_only=True)
    confusion_matrix = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        read_only=True,
        help_text="Rows: the truth, columns: predictions, both in order of `class_names`, then background.",
    )
    curves = serializers.DictField(read_only=True)
    slices = serializers.ListField(child=serializers.DictField(), read_only=True, help_text="Worst first.")

    class Meta(TestRunRowSerializer.Meta):
        fields = [
            *TestRunRowSerializer.Meta.fields, "rules", "intervals", "undefined", "class_names", "per_class_metrics",
            "confusion_matrix", "curves", "slices",
        ]  # fmt: skip
        read_only_fields = fields


class JobTestRunsSerializer(serializers.Serializer):
    total_count = serializers.IntegerField()
    runs = TestRunRowSerializer(many=True)


# --- Asked of one ------------------------------------------------------------------------------------------------------
class PageSerializer(serializers.Serializer):
    offset = serializers.IntegerField(default=0, min_value=0, max_value=LARGEST)
    limit = serializers.IntegerField(default=LIMIT, min_value=1, max_value=MOST)


class ConfidenceSerializer(serializers.Serializer):
    confidence = serializers.FloatField(
        default=None, min_value=0, max_value=1, help_text="Left out: that of the run's own figures (`metrics.confidence`)."
    )


class ImagesRequestSerializer(PageSerializer):
    true_class = serializers.CharField(default=None, help_text=CLASS_HELP)
    predicted_class = serializers.CharField(default=None, help_text=CLASS_HELP)
    is_correct = serializers.BooleanField(default=None, allow_null=True)
    min_confidence = serializers.FloatField(default=None, min_value=0, max_value=1)
    max_confidence = serializers.FloatField(default=None, min_value=0, max_value=1)
    error = serializers.ChoiceField(default=None, choices=ERRORS)
    sort = serializers.ChoiceField(
        default="id", choices=[*SORTS, *(f"-{name}" for name in SORTS)], help_text="Worst first: `f1`, `-loss`."
    )
    objects_from = serializers.FloatField(
        default=None,
        min_value=0,
        max_value=1,
        help_text="Predictions from this confidence on. Left out: that of the run's figures.",
    )


class CellRequestSerializer(PageSerializer, ConfidenceSerializer):
    true = serializers.CharField(help_text=f"{CLASS_HELP} -1: background.")
    predicted = serializers.CharField(help_text=f"{CLASS_HELP} -1: missed.")


class OfClassSerializer(serializers.Serializer):
    def get_fields(self) -> dict[str, Any]:
        """`class` is a word that Python keeps for itself."""
        return super().get_fields() | {"class": serializers.CharField(default=None, help_text=CLASS_HELP)}


class ObjectsRequestSerializer(PageSerializer, ConfidenceSerializer, OfClassSerializer):
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    error = serializers.ChoiceField(default=None, choices=ERRORS)


class ExportRequestSerializer(serializers.Serializer):
    # `format` itself is DRF's word for the shape of an answer.
    format = serializers.ChoiceField(choices=list(FORMATS))


class CompareTestsRequestSerializer(serializers.Serializer):
    baseline = serializers.IntegerField(min_value=1, max_value=LARGEST)
    candidate = serializers.IntegerField(min_value=1, max_value=LARGEST)


class ChangedObjectsRequestSerializer(CompareTestsRequestSerializer, PageSerializer, OfClassSerializer):
    kind = serializers.ChoiceField(choices=KINDS)
    baseline_confidence = serializers.FloatField(default=None, min_value=0, max_value=1)
    candidate_confidence = serializers.FloatField(default=None, min_value=0, max_value=1)


# --- Told --------------------------------------------------------------------------------------------------------------
class TestImageSerializer(serializers.Serializer):
    sample_id = serializers.IntegerField()
    file_name = serializers.CharField()
    split = serializers.CharField()
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    url = serializers.CharField(help_text="Its page.")
    image_url = serializers.CharField(allow_null=True)
    thumb_url = serializers.CharField(allow_null=True)


class ShapeSerializer(serializers.Serializer):
    """An object; of a whole image's label the class alone."""

    id = serializers.IntegerField(required=False)
    label = serializers.CharField()
    bbox = serializers.ListField(child=serializers.FloatField(), allow_null=True, required=False, help_text="xywh in pixels.")
    segmentation = serializers.JSONField(allow_null=True, required=False)
    keypoints = serializers.ListField(child=serializers.FloatField(), allow_null=True, required=False)


class TrueObjectSerializer(ShapeSerializer):
    is_crowd = serializers.BooleanField(required=False)


class PredictedObjectSerializer(ShapeSerializer):
    confidence = serializers.FloatField()


class TopChoiceSerializer(serializers.Serializer):
    label = serializers.CharField()
    confidence = serializers.FloatField()


class ImageResultSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    image = TestImageSerializer()
    true_label = serializers.CharField(allow_null=True)
    predicted_label = serializers.CharField(allow_null=True)
    true_labels = serializers.ListField(child=serializers.CharField())
    predicted_labels = serializers.ListField(child=serializers.CharField())
    true_objects = TrueObjectSerializer(many=True)
    predicted_objects = PredictedObjectSerializer(many=True)
    confidence = serializers.FloatField(allow_null=True, help_text="Of the first choice, or of the surest object.")
    top5 = TopChoiceSerializer(many=True, allow_null=True)
    is_correct = serializers.BooleanField()
    errors = serializers.ListField(child=serializers.ChoiceField(choices=ERRORS))
    iou = serializers.FloatField(allow_null=True, help_text="The mean of what was found.")
    oks = serializers.FloatField(allow_null=True, help_text="The mean of what was found.")
    true_positives = serializers.IntegerField()
    false_positives = serializers.IntegerField()
    false_negatives = serializers.IntegerField()
    f1 = serializers.FloatField(allow_null=True)
    loss = serializers.FloatField(allow_null=True)
    inference_time_ms = serializers.FloatField(allow_null=True)


class ImageResultsSerializer(serializers.Serializer):
    total_count = serializers.IntegerField()
    correct_count = serializers.IntegerField()
    incorrect_count = serializers.IntegerField()
    results = ImageResultSerializer(many=True)


class ObjectEntrySerializer(serializers.Serializer):
    image = TestImageSerializer(allow_null=True)
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    error = serializers.ChoiceField(choices=ERRORS, allow_null=True)
    overlap = serializers.FloatField(allow_null=True, help_text="With the object that it found.")
    true = TrueObjectSerializer(allow_null=True)
    predicted = PredictedObjectSerializer(allow_null=True)
    crop_url = serializers.CharField(allow_null=True)


class ObjectEntriesSerializer(serializers.Serializer):
    confidence = serializers.FloatField()
    total_count = serializers.IntegerField()
    results = ObjectEntrySerializer(many=True)


class CountedSerializer(serializers.Serializer):
    true_positives = serializers.IntegerField()
    false_positives = serializers.IntegerField()
    false_negatives = serializers.IntegerField()
    precision = serializers.FloatField(allow_null=True)
    recall = serializers.FloatField(allow_null=True)
    f1 = serializers.FloatField(allow_null=True)


class ClassCountedSerializer(CountedSerializer):
    name = serializers.CharField()


class OperatingPointSerializer(CountedSerializer):
    confidence = serializers.FloatField()
    per_class = ClassCountedSerializer(many=True)
    confusion_matrix = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    errors = serializers.DictField(child=serializers.IntegerField(), help_text="How many of each kind (TIDE).")


class StepSerializer(serializers.Serializer):
    rule = serializers.CharField(help_text="What is changed, in words.")
    value = serializers.FloatField(allow_null=True)
    change = serializers.FloatField(allow_null=True)


class ProtocolStepsSerializer(serializers.Serializer):
    label = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    steps = StepSerializer(many=True)


class ReconciliationSerializer(serializers.Serializer):
    start = serializers.CharField()
    protocols = serializers.DictField(child=ProtocolStepsSerializer())


class ThresholdSerializer(serializers.Serializer):
    confidence = serializers.FloatField(allow_null=True)
    f1 = serializers.FloatField(allow_null=True)


class ThresholdsSerializer(serializers.Serializer):
    test_run = serializers.IntegerField()
    all = ThresholdSerializer(help_text="One for all classes.")
    classes = serializers.DictField(child=ThresholdSerializer())


class ComparedMetricSerializer(serializers.Serializer):
    name = serializers.CharField()
    baseline = serializers.FloatField(allow_null=True)
    candidate = serializers.FloatField(allow_null=True)
    difference = serializers.FloatField(allow_null=True)
    interval = IntervalField(allow_null=True, help_text="95 % of the difference, paired by image.")
    lower_is_better = serializers.BooleanField()


class ChangeCountsSerializer(serializers.Serializer):
    fixed = serializers.IntegerField()
    broken = serializers.IntegerField()
    both_right = serializers.IntegerField()
    both_wrong = serializers.IntegerField()


class ComparedClassSerializer(ChangeCountsSerializer):
    name = serializers.CharField()
    metric = serializers.CharField()
    baseline = serializers.FloatField(allow_null=True)
    candidate = serializers.FloatField(allow_null=True)
    difference = serializers.FloatField(allow_null=True)


class ChangedObjectSerializer(serializers.Serializer):
    image = TestImageSerializer(allow_null=True)
    true = TrueObjectSerializer()
    baseline = PredictedObjectSerializer(allow_null=True, help_text="What found it there.")
    candidate = PredictedObjectSerializer(allow_null=True)
    crop_url = serializers.CharField(allow_null=True)


class ChangedObjectsSerializer(serializers.Serializer):
    total_count = serializers.IntegerField()
    results = ChangedObjectSerializer(many=True)


class TestComparisonSerializer(serializers.Serializer):
    baseline = serializers.IntegerField()
    candidate = serializers.IntegerField()
    matched_images = serializers.IntegerField()
    images_of_one_alone = serializers.IntegerField()
    metrics = ComparedMetricSerializer(many=True)
    objects = ChangeCountsSerializer()
    images = ChangeCountsSerializer(help_text="Images that are wholly right or not.")
    p_value = serializers.FloatField(help_text="Of those images, by McNemar's exact test.")
    per_class = ComparedClassSerializer(many=True)
    differences = serializers.ListField(child=serializers.CharField(), help_text="Rules that differ.")
    verdict = serializers.CharField()
