"""Gates in the API: kept by editors, checked by scripts."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from accounts.models import Role
from evaluation import gates
from evaluation.models import Gate, GateCheck, GateLimit, Outcome
from evaluation.models.gates import Against
from predictions.models import PredictionRun, PredictionSet, TrainingJob
from predictions.training_api import as_field_errors, checked, writable_project

NAME = OpenApiParameter("name", str, OpenApiParameter.PATH, description="The gate's name.")
PROJECT = OpenApiParameter("project", str, description="Slug of the project, where several of yours have a gate of that name.")


class LimitSerializer(serializers.ModelSerializer):
    class Meta:
        model = GateLimit
        fields = ["metric", "lower_is_better", "limit", "most_drop"]


class GateSerializer(serializers.ModelSerializer):
    project = serializers.SlugField(source="project.slug", required=False, help_text="Without one, your personal project.")
    prediction_set = serializers.CharField(
        source="prediction_set.name", default=None, allow_null=True, help_text="The name of the set that runs answer."
    )
    job = serializers.CharField(source="job.job_id", default=None, allow_null=True, help_text="Or the job_id of a job.")
    against = serializers.ChoiceField(choices=Against.choices, default=Against.NOTHING)
    baseline = serializers.IntegerField(
        source="baseline_id", default=None, allow_null=True, help_text="A run, for against=run."
    )
    limits = LimitSerializer(many=True)

    class Meta:
        model = Gate
        fields = ["id", "project", "name", "prediction_set", "job", "against", "baseline", "least_items", "allows_differences",
                  "limits", "created_at"]  # fmt: skip
        read_only_fields = ["id", "created_at"]
        validators: list[Any] = []


class GateChangeSerializer(serializers.Serializer):
    """What may be changed; limits are replaced as a whole. What the gate is for stays."""

    name = serializers.CharField(max_length=80, required=False)
    against = serializers.ChoiceField(choices=Against.choices, required=False)
    baseline = serializers.IntegerField(required=False, allow_null=True)
    least_items = serializers.IntegerField(required=False, min_value=2, max_value=2_000_000_000)
    allows_differences = serializers.BooleanField(required=False)
    limits = LimitSerializer(many=True, required=False)


class CheckSerializer(serializers.Serializer):
    """Which run: by its number, or as a job's run at an epoch or of a checkpoint; without either, the job's last."""

    run = serializers.IntegerField(required=False)
    job_id = serializers.CharField(max_length=120, required=False)
    epoch = serializers.FloatField(required=False)
    checkpoint = serializers.CharField(max_length=1000, required=False)
    baseline = serializers.IntegerField(required=False, help_text="A run, in place of the gate's own baseline.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("run" in attrs) == ("job_id" in attrs):
            raise serializers.ValidationError("Name a run by its number, or a job by its job_id.")
        return attrs


class DecisionSerializer(serializers.Serializer):
    metric = serializers.CharField()
    label = serializers.CharField()
    kind = serializers.ChoiceField(choices=["limit", "drop"], help_text="drop: how much worse than the baseline.")
    limit = serializers.FloatField()
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    reason = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    interval = serializers.ListField(
        child=serializers.FloatField(), min_length=2, max_length=2, allow_null=True, help_text="At 95 %."
    )
    items = serializers.IntegerField()


class GateCheckSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    gate = serializers.CharField()
    project = serializers.CharField()
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    reasons = serializers.ListField(child=serializers.CharField(), help_text="In words, the worst first.")
    run = serializers.IntegerField(allow_null=True)
    run_name = serializers.CharField()
    baseline = serializers.IntegerField(allow_null=True)
    baseline_name = serializers.CharField(allow_blank=True)
    figures = DecisionSerializer(many=True)
    differences = serializers.ListField(child=serializers.CharField(), help_text="What makes the two not comparable.")
    checked_by = serializers.CharField(allow_null=True)
    checked_at = serializers.DateTimeField()

    def to_representation(self, instance: GateCheck) -> Any:
        return super().to_representation(gates.check_as_dict(instance))


class GateListView(generics.ListCreateAPIView):
    """Gates of your projects."""

    serializer_class = GateSerializer
    filter_backends: list[Any] = []
    queryset = Gate.objects.none()  # for the schema's types only

    def get_queryset(self) -> "QuerySet[Gate]":
        found = Gate.objects.visible_to(self.request.user).select_related(*gates.WITH).prefetch_related("limits")
        project = self.request.query_params.get("project")
        return found.filter(project__slug=project) if project else found

    @extend_schema(operation_id="gates_list", summary="List gates", parameters=[PROJECT])
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(operation_id="gates_create", summary="Make a gate")
    def post(self, request: Request) -> Response:
        given = checked(GateSerializer(data=request.data))
        gate = Gate(project=writable_project(request, given.pop("project", {}).get("slug", "")))
        name, job_id = given.pop("prediction_set", {}).get("name"), given.pop("job", {}).get("job_id")
        if name:
            gate.prediction_set = _named(PredictionSet.objects.filter(project=gate.project, name=name), "prediction_set")
        if job_id:
            gate.job = _named(TrainingJob.objects.filter(project=gate.project, job_id=job_id), "job")
        given["baseline"] = given.pop("baseline_id", None)
        return Response(GateSerializer(_saved(request, gate, given)).data, status=status.HTTP_201_CREATED)


def _named(found: "QuerySet[Any]", field: str) -> Any:
    row = found.first()
    if row is None:
        raise serializers.ValidationError({field: "The project has none of that name or number."})
    return row


def _saved(request: Request, gate: Gate, given: dict[str, Any]) -> Gate:
    limits = given.pop("limits", None)
    if "baseline" in given:
        run = given.pop("baseline")
        gate.baseline = _named(PredictionRun.objects.filter(project=gate.project, pk=run), "baseline") if run else None
    for name, value in given.items():
        setattr(gate, name, value)
    with as_field_errors():
        return gates.save_gate(gate, request.user, None if limits is None else [GateLimit(**limit) for limit in limits])


class NamedGateView(APIView):
    def gate(self, needed: Role) -> Gate:
        project = self.request.query_params.get("project", "")
        return gates.find_gate(self.request.user, self.kwargs["name"], needed, project)


class GateView(NamedGateView):
    @extend_schema(operation_id="gates_retrieve", summary="One gate", parameters=[NAME, PROJECT], responses=GateSerializer)
    def get(self, request: Request, name: str) -> Response:
        return Response(GateSerializer(self.gate(Role.VIEWER)).data)

    @extend_schema(summary="Change a gate", parameters=[NAME, PROJECT], request=GateChangeSerializer, responses=GateSerializer)
    def patch(self, request: Request, name: str) -> Response:
        gate = self.gate(Role.EDITOR)
        return Response(GateSerializer(_saved(request, gate, checked(GateChangeSerializer(data=request.data)))).data)

    @extend_schema(summary="Delete a gate with its history", parameters=[NAME, PROJECT], responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        self.gate(Role.EDITOR).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class GateCheckView(NamedGateView):
    @extend_schema(
        operation_id="gates_check",
        summary="May this run pass?",
        description="The decision is kept, and a run that passes can become the next one's baseline: for editors. A job's own "
        "token cannot check gates; a script uses the API token of an editor.",
        parameters=[NAME, PROJECT],
        request=CheckSerializer,
        responses=GateCheckSerializer,
    )
    def post(self, request: Request, name: str) -> Response:
        gate = self.gate(Role.EDITOR)
        given = checked(CheckSerializer(data=request.data))
        if "run" in given:
            run = gates.find_run(request.user, gate, given["run"])
        else:
            run = gates.find_firing(request.user, gate, given["job_id"], given.get("epoch"), given.get("checkpoint", ""))
        baseline = gates.find_baseline(request.user, gate, run, given.get("baseline"))
        return Response(GateCheckSerializer(gates.check(gate, run, request.user, baseline)).data)


class NewestFirst(api_settings.DEFAULT_PAGINATION_CLASS):  # type: ignore[name-defined]
    ordering = "-pk"


class GateChecksView(generics.ListAPIView, NamedGateView):
    """What the gate has decided, newest first."""

    serializer_class = GateCheckSerializer
    pagination_class = NewestFirst
    filter_backends: list[Any] = []
    queryset = GateCheck.objects.none()  # for the schema's types only

    def get_queryset(self) -> "QuerySet[GateCheck]":
        return self.gate(Role.VIEWER).checks.select_related("gate__project", "created_by")

    @extend_schema(operation_id="gates_checks_list", summary="List checks of a gate", parameters=[NAME, PROJECT])
    def get(self, request: Request, name: str) -> Response:
        return self.list(request)
