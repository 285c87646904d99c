"""The shapes of training jobs and their predictions in the API."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from predictions.answers import LARGEST_INDEX, storable
from predictions.ingest import MOST_ROWS
from predictions.models import Checkpoint, PredictionRun, TextPrediction, TrainingJob, TrainingStatus
from predictions.models.training import check_job_id, task_type_choices
from predictions.prediction_sets import MOST_ITEMS
from predictions.record import as_dict
from predictions.scoring import FIELDS
from predictions.totals import Totals

# Whole numbers that JSON carries exactly.
LARGEST_STEP = 2**53 - 1


class StorableText(serializers.CharField):
    """A text as it was sent, blanks and all; what no database can hold is shown as U+FFFD, as in answers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        return storable(super().to_internal_value(data))


class TrainingJobSerializer(serializers.ModelSerializer):
    job_id = serializers.CharField(
        max_length=120, required=False, validators=[check_job_id], help_text="Made where none is given."
    )
    name = serializers.CharField(max_length=200, required=False, help_text="Without one, the job_id.")
    task_type = serializers.ChoiceField(choices=task_type_choices(), required=False)
    project = serializers.SlugField(source="project.slug", required=False, help_text="Without one, your personal project.")
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True, read_only=True)
    status = serializers.ChoiceField(choices=TrainingStatus.choices, read_only=True)
    is_silent = serializers.BooleanField(
        read_only=True, help_text="It should be running, and nothing has come from it for 10 minutes."
    )

    class Meta:
        model = TrainingJob
        fields = ["id", "job_id", "name", "project", "owner", "task_type", "framework", "config", "status", "is_silent", "message",
                  "attempt", "epoch", "step", "total_steps", "firing_count", "missed_count", "missed", "overhead", "environment",
                  "created_at", "started_at", "last_seen_at", "finished_at"]  # fmt: skip
        read_only_fields = [name for name in fields if name not in ("job_id", "name", "task_type", "framework", "config")]


class TrainingJobChangeSerializer(serializers.Serializer):
    """What may be changed later; the job's id and project stay."""

    name = serializers.CharField(max_length=200, required=False)
    config = serializers.JSONField(required=False)
    framework = serializers.CharField(max_length=60, required=False, allow_blank=True)
    status = serializers.ChoiceField(choices=TrainingStatus.choices, required=False)


class StartSerializer(serializers.Serializer):
    """A process begins to train."""

    attempt = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    task_type = serializers.ChoiceField(choices=task_type_choices(), required=False)
    framework = serializers.CharField(max_length=60, required=False, allow_blank=True)
    project = serializers.SlugField(required=False, allow_blank=True, help_text="Where the job is made on first contact.")
    config = serializers.JSONField(required=False, help_text="For a job that is made now; one that is there keeps its own.")
    prediction_set = serializers.CharField(
        required=False, allow_blank=True, help_text="name@3 or name@latest: its items come back."
    )
    environment = serializers.DictField(required=False)


class AskedItemSerializer(serializers.Serializer):
    item_key = serializers.CharField(source="key")
    sample_index = serializers.IntegerField()
    prompt = serializers.CharField(allow_null=True)
    messages = serializers.JSONField(allow_null=True)
    references = serializers.ListField(child=serializers.CharField())
    metadata = serializers.DictField()


class SetItemsSerializer(serializers.Serializer):
    name = serializers.CharField(source="prediction_set.name")
    version = serializers.IntegerField(source="number")
    items = AskedItemSerializer(many=True, source="items.all")


class StartedSerializer(serializers.Serializer):
    job_id = serializers.CharField()
    attempt = serializers.IntegerField(help_text="The number of this start; a repeated step of a later attempt supersedes.")
    url = serializers.CharField(help_text="The job's page.")
    panel = serializers.JSONField(allow_null=True, help_text="The job's predictions panel, where it has one.")
    prediction_set = SetItemsSerializer(allow_null=True)


class NewItemSerializer(serializers.Serializer):
    item_key = StorableText(max_length=120)
    sample_index = serializers.IntegerField(min_value=0, max_value=LARGEST_INDEX)
    prompt = StorableText(required=False, allow_null=True, allow_blank=True)
    messages = serializers.ListField(child=serializers.DictField(), required=False, allow_null=True)
    references = serializers.ListField(child=StorableText(allow_blank=True), required=False, default=list)
    metadata = serializers.DictField(required=False, default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("prompt") is None) == (attrs.get("messages") is None):
            raise serializers.ValidationError("Send either prompt or messages.")
        return attrs


class RegisterSetSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    source = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    seed = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=-LARGEST_STEP, max_value=LARGEST_STEP
    )
    items = NewItemSerializer(many=True, allow_empty=False, max_length=MOST_ITEMS)

    def validate_name(self, name: str) -> str:
        if "@" in name:
            raise serializers.ValidationError("A name holds no '@'; versions are numbered by the server.")
        return name

    def validate_items(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({item["item_key"] for item in items}) < len(items):
            raise serializers.ValidationError("Two items share an item_key. Draw each question once.")
        return items


class RegisteredSetSerializer(serializers.Serializer):
    name = serializers.CharField(source="prediction_set.name")
    version = serializers.IntegerField(source="number")
    prediction_set = serializers.CharField(source="__str__", help_text="name@version")
    item_count = serializers.IntegerField()


class MissedSerializer(serializers.Serializer):
    epoch = serializers.FloatField(required=False, allow_null=True)
    step = serializers.IntegerField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=2000)


class OverheadSerializer(serializers.Serializer):
    seconds = serializers.FloatField(min_value=0)
    share = serializers.FloatField(min_value=0, required=False, allow_null=True)


class ProgressSerializer(serializers.Serializer):
    epoch = serializers.FloatField(required=False, allow_null=True, min_value=0)
    step = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=LARGEST_STEP)
    total_steps = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=LARGEST_STEP)
    missed = MissedSerializer(required=False, allow_null=True)
    overhead = OverheadSerializer(required=False, allow_null=True)
    status = serializers.ChoiceField(choices=TrainingStatus.choices, required=False)
    message = serializers.CharField(required=False, allow_blank=True, max_length=4000)


class ProgressedSerializer(serializers.Serializer):
    job_id = serializers.CharField()
    status = serializers.CharField()
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="Golden sets whose questions stand in what the job has drawn from, in words."
    )


class CheckpointSerializer(serializers.ModelSerializer):
    metrics = serializers.DictField(required=False)

    class Meta:
        model = Checkpoint
        fields = ["id", "path", "epoch", "step", "metrics", "created_at"]
        read_only_fields = ["id", "created_at"]
        extra_kwargs = {
            "path": {"required": True, "allow_blank": False},
            "epoch": {"required": True, "allow_null": False},
            "step": {"required": True, "allow_null": False},
        }


class AnswerSerializer(serializers.Serializer):
    """For the documentation: rows are checked one by one, and refused one by one."""

    sample_index = serializers.IntegerField(min_value=0)
    item_key = serializers.CharField(required=False, help_text="Without one, the hash of prompt or messages.")
    prompt = serializers.CharField(required=False)
    messages = serializers.ListField(child=serializers.DictField(), required=False)
    ground_truth = serializers.CharField(required=False, allow_null=True, help_text="A text or a list of texts.")
    prediction = serializers.CharField()
    rendered_prompt = serializers.CharField(
        required=False, allow_null=True, help_text="What the model read, where a template made another text of the prompt."
    )
    token_counts = serializers.DictField(required=False)
    latency_ms = serializers.FloatField(required=False)
    finish_reason = serializers.CharField(required=False)
    scores = serializers.DictField(child=serializers.FloatField(), required=False)
    metadata = serializers.DictField(required=False)


class PredictionsPostSerializer(serializers.Serializer):
    """A call: where in a training, and up to 1,000 answers."""

    job_id = serializers.CharField(max_length=120)
    epoch = serializers.FloatField(required=False, min_value=0, help_text="Without one, all is epoch 0 and steps count.")
    step = serializers.IntegerField(required=False, min_value=0, max_value=LARGEST_STEP)
    attempt = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)
    prediction_set = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=140)
    checkpoint = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=1000)
    generation_params = serializers.DictField(required=False, allow_null=True)
    predictions = serializers.ListField(child=AnswerSerializer(), max_length=MOST_ROWS)


class RowsField(serializers.Field):
    """A list of whatever was sent: its rows are checked one by one by `predictions.answers`."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            raise serializers.ValidationError("Must be a list of predictions.")
        if len(data) > MOST_ROWS:
            raise serializers.ValidationError(f"A call takes up to {MOST_ROWS:,} rows, and this one holds {len(data):,}.")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class FiringSerializer(PredictionsPostSerializer):
    """The call without its rows, whose reasons for refusal are their own."""

    predictions = RowsField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("epoch") is None and attrs.get("step") is None:
            raise serializers.ValidationError({"epoch": "Say the epoch, the step, or both."})
        return attrs


class RejectedSerializer(serializers.Serializer):
    index = serializers.IntegerField(help_text="Place of the row in the call, from 0.")
    reason = serializers.CharField()


class IngestedSerializer(serializers.Serializer):
    stored = serializers.IntegerField()
    updated = serializers.IntegerField()
    rejected = RejectedSerializer(many=True)


class TextPredictionSerializer(serializers.Serializer):
    """An answer with its question and scores. Scores are null where there is no reference."""

    id = serializers.IntegerField()
    run = serializers.IntegerField(help_text="Id of the run that it belongs to.")
    epoch = serializers.FloatField()
    step = serializers.IntegerField()
    attempt = serializers.IntegerField()
    sample_index = serializers.IntegerField()
    item_key = serializers.CharField()
    prompt = serializers.CharField(allow_null=True)
    messages = serializers.JSONField(allow_null=True)
    rendered_prompt = serializers.CharField(
        allow_null=True, help_text="What the model read, where a template made another text of the prompt."
    )
    ground_truth = serializers.CharField(allow_null=True)
    references = serializers.ListField(child=serializers.CharField())
    prediction = serializers.CharField()
    exact_match = serializers.FloatField(allow_null=True)
    exact_match_norm = serializers.FloatField(allow_null=True)
    char_error_rate = serializers.FloatField(allow_null=True)
    char_edits = serializers.IntegerField(allow_null=True)
    reference_length = serializers.IntegerField(allow_null=True)
    length_ratio = serializers.FloatField(allow_null=True)
    word_overlap = serializers.FloatField(allow_null=True)
    token_f1 = serializers.FloatField(allow_null=True)
    chrf = serializers.FloatField(allow_null=True)
    scores = serializers.DictField(child=serializers.FloatField(), help_text="Custom scores of the trainer.")
    validation_passed = serializers.BooleanField(allow_null=True)
    validations = serializers.ListField(
        child=serializers.DictField(),
        help_text="Of each validator: type, value, outcome (pass, fail or error), message and detail.",
    )
    token_counts = serializers.DictField()
    latency_ms = serializers.FloatField(allow_null=True)
    finish_reason = serializers.CharField(allow_blank=True)
    checkpoint = serializers.CharField(allow_blank=True)
    record = serializers.DictField(
        help_text="How it was made and judged, as far as it is known: prediction_set, model, model_revision, template_hash, dtype, "
        "device, batch_size, generation parameters, versions of libraries, score_version, validator_version."
    )
    metadata = serializers.DictField()


def text_as_dict(row: TextPrediction, records: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """In the shape of TextPredictionSerializer; built by hand, since a page holds hundreds. `records` are those of the runs."""
    references = row.item.references if row.references is None else row.references
    return {
        "id": row.pk,
        "run": row.run_id,
        "epoch": row.run.epoch,
        "step": row.run.step,
        "attempt": row.run.attempt,
        "sample_index": row.sample_index,
        "item_key": row.item.key,
        "prompt": row.item.prompt,
        "messages": row.item.messages,
        "rendered_prompt": row.rendered_prompt,
        "ground_truth": references[0] if references else None,
        "references": references,
        "prediction": row.prediction,
        **{name: getattr(row, name) for name in FIELDS},
        "scores": row.custom_scores or {},
        "validation_passed": row.passed,
        "validations": row.validations or [],
        "token_counts": row.token_counts or {},
        "latency_ms": row.latency_ms,
        "finish_reason": row.finish_reason,
        "checkpoint": row.run.checkpoint,
        "record": records[row.run_id],
        "metadata": row.metadata or {},
    }


class PredictionsPageSerializer(serializers.Serializer):
    predictions = TextPredictionSerializer(many=True)
    total_count = serializers.IntegerField()
    epoch_count = serializers.IntegerField(help_text="Epochs of the job that have predictions.")


class TrainingRunSerializer(serializers.ModelSerializer):
    """A firing: how many answers it holds, how many passed their validators, and how they were made."""

    prediction_set = serializers.CharField(source="set_version.__str__", help_text="name@version")
    passed = serializers.IntegerField(source="sums.passed")
    validated = serializers.IntegerField(source="sums.validated", help_text="Answers whose validators could tell.")
    pass_rate = serializers.FloatField(source="sums.pass_rate", allow_null=True)
    weighted_pass_rate = serializers.FloatField(
        source="sums.weighted_pass_rate", allow_null=True, help_text="By the weights of the items."
    )
    record = serializers.SerializerMethodField(help_text="How the answers were made and judged, as far as it is known.")

    class Meta:
        model = PredictionRun
        fields = ["id", "name", "epoch", "step", "attempt", "is_current", "prediction_set", "prediction_count", "passed",
                  "validated", "pass_rate", "weighted_pass_rate", "checkpoint", "record", "created_at"]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, run: PredictionRun) -> dict[str, Any]:
        run.sums = Totals.from_json(run.totals)
        return dict(super().to_representation(run))

    def get_record(self, run: PredictionRun) -> dict[str, Any]:
        return as_dict(run)


class EpochSerializer(serializers.Serializer):
    epoch = serializers.FloatField()
    prediction_count = serializers.IntegerField()
    latest_step = serializers.IntegerField()


class EpochsSerializer(serializers.Serializer):
    epochs = EpochSerializer(many=True)


class TrendSerializer(serializers.Serializer):
    """Means over the answers of one epoch and step."""

    epoch = serializers.FloatField()
    step = serializers.IntegerField()
    sample_count = serializers.IntegerField()
    avg_exact_match = serializers.FloatField(allow_null=True)
    avg_exact_match_norm = serializers.FloatField(allow_null=True)
    avg_char_error_rate = serializers.FloatField(allow_null=True)
    avg_length_ratio = serializers.FloatField(allow_null=True)
    avg_word_overlap = serializers.FloatField(allow_null=True)
    avg_token_f1 = serializers.FloatField(allow_null=True)
    avg_chrf = serializers.FloatField(allow_null=True)
    min_char_error_rate = serializers.FloatField(allow_null=True)
    max_char_error_rate = serializers.FloatField(allow_null=True)
    micro_char_error_rate = serializers.FloatField(allow_null=True, help_text="All edits / all characters of references.")
    bleu = serializers.FloatField(allow_null=True, help_text="Corpus BLEU, 0 to 100; see bleu_signature.")
    validation_pass_rate = serializers.FloatField(allow_null=True)
    weighted_pass_rate = serializers.FloatField(allow_null=True, help_text="The pass rate by the weights of the items.")
    custom_scores = serializers.DictField(child=serializers.FloatField())


class TrendsSerializer(serializers.Serializer):
    job_id = serializers.CharField()
    trends = TrendSerializer(many=True)
    overall_improvement = serializers.FloatField(
        allow_null=True, help_text="Fall of the mean character error rate from the first to the last epoch, in percent."
    )
    bleu_signature = serializers.CharField()
    score_version = serializers.CharField()


class SampleTrendSerializer(serializers.Serializer):
    job_id = serializers.CharField()
    sample_index = serializers.IntegerField()
    prompt = serializers.CharField(allow_null=True)
    ground_truth = serializers.CharField(allow_null=True)
    trend = TextPredictionSerializer(many=True)
