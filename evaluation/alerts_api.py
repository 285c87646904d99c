"""Alerts, their rules and channels in the API."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from accounts.models import Project, Role
from evaluation import alert_jobs, alerts
from evaluation.models import Alert, AlertChannel, AlertRule, AlertStatus, ChannelKind, Delivery, RuleKind
from predictions.models import PredictionRun, PredictionSet, TrainingJob
from predictions.training_api import PROJECT, as_field_errors, checked, writable_project

BY_PK = OpenApiParameter("id", OpenApiTypes.INT, OpenApiParameter.PATH)


# --- Shapes ----------------------------------------------------------------------------------------------------------------
class ChannelSerializer(serializers.ModelSerializer):
    project = serializers.SlugField(source="project.slug", required=False, help_text="Without one, your personal project.")
    kind = serializers.ChoiceField(choices=ChannelKind.choices)

    class Meta:
        model = AlertChannel
        fields = ["id", "project", "name", "kind", "target", "created_at"]
        read_only_fields = ["id", "created_at"]


class ChannelChangeSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=80, required=False)
    target = serializers.CharField(max_length=2000, required=False)


class NewChannelSerializer(ChannelSerializer):
    secret = serializers.SerializerMethodField(help_text="Of a webhook: what its messages are signed with, shown this once.")

    class Meta(ChannelSerializer.Meta):
        fields = [*ChannelSerializer.Meta.fields, "secret"]
        read_only_fields = [*ChannelSerializer.Meta.read_only_fields, "secret"]

    @extend_schema_field({"type": "string", "nullable": True})
    def get_secret(self, channel: AlertChannel) -> str | None:
        return channel.secret if channel.kind == ChannelKind.WEBHOOK else None


class RuleSerializer(serializers.ModelSerializer):
    project = serializers.SlugField(source="project.slug", required=False, help_text="Without one, your personal project.")
    kind = serializers.ChoiceField(choices=RuleKind.choices)
    job = serializers.CharField(
        source="job.job_id", default=None, allow_null=True, required=False, help_text="The job_id of the job that it watches."
    )
    prediction_set = serializers.CharField(
        source="prediction_set.name",
        default=None,
        allow_null=True,
        required=False,
        help_text="Or the name of a set: it watches every job that answers it.",
    )
    baseline = serializers.IntegerField(source="baseline_id", default=None, allow_null=True, required=False, help_text="A run.")
    channels = serializers.PrimaryKeyRelatedField(many=True, queryset=AlertChannel.objects.all(), required=False)
    alerts_when = serializers.CharField(source="in_words", read_only=True, help_text="The rule in words.")

    class Meta:
        model = AlertRule
        fields = ["id", "project", "name", "kind", "job", "prediction_set", "metric", "lower_is_better", "baseline", "threshold",
                  "debounce_minutes", "is_on", "channels", "alerts_when", "watches_from", "created_at"]  # fmt: skip
        read_only_fields = ["id", "alerts_when", "watches_from", "created_at"]


class RuleChangeSerializer(serializers.Serializer):
    """What may be changed; what it watches stays."""

    name = serializers.CharField(max_length=120, required=False)
    kind = serializers.ChoiceField(choices=RuleKind.choices, required=False)
    metric = serializers.CharField(max_length=130, required=False, allow_blank=True)
    lower_is_better = serializers.BooleanField(required=False)
    baseline = serializers.IntegerField(required=False, allow_null=True)
    threshold = serializers.FloatField(required=False)
    debounce_minutes = serializers.IntegerField(required=False, min_value=0)
    is_on = serializers.BooleanField(required=False)
    channels = serializers.PrimaryKeyRelatedField(many=True, queryset=AlertChannel.objects.all(), required=False)


class AlertSerializer(serializers.ModelSerializer):
    project = serializers.SlugField(source="rule.project.slug", read_only=True)
    rule = serializers.IntegerField(source="rule_id", read_only=True)
    rule_name = serializers.CharField(source="rule.name", read_only=True)
    job_id = serializers.CharField(source="job.job_id", read_only=True)
    run = serializers.IntegerField(source="run_id", read_only=True, allow_null=True)
    epoch = serializers.FloatField(source="run.epoch", default=None, allow_null=True, read_only=True)
    step = serializers.IntegerField(source="run.step", default=None, allow_null=True, read_only=True)
    status = serializers.ChoiceField(choices=AlertStatus.choices, read_only=True)
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", default=None, allow_null=True, read_only=True)
    resolved_by = serializers.CharField(
        source="resolved_by.username", default=None, allow_null=True, read_only=True, help_text="null: it resolved by itself."
    )

    class Meta:
        model = Alert
        fields = ["id", "project", "rule", "rule_name", "job_id", "run", "epoch", "step", "value", "reference", "message",
                  "status", "opened_at", "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by",
                  "resolution"]  # fmt: skip
        read_only_fields = fields


class ResolveSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")


class DeliverySerializer(serializers.ModelSerializer):
    channel = serializers.CharField(source="channel.name", read_only=True)
    status = serializers.CharField(read_only=True, help_text="pending, completed or failed")
    answer = serializers.CharField(read_only=True, help_text="Of the other side; for editors, as it may name its address.")

    class Meta:
        model = Delivery
        fields = ["id", "channel", "event", "status", "attempts", "answer", "created_at", "finished_at"]
        read_only_fields = fields


class NewestFirst(api_settings.DEFAULT_PAGINATION_CLASS):  # type: ignore[name-defined]
    ordering = "-pk"


# --- Views -----------------------------------------------------------------------------------------------------------------
class ScopedViewSet(viewsets.GenericViewSet):
    """Of rows that belong to projects."""

    filter_backends: list[Any] = []
    lookup_value_regex = r"\d+"

    def of_project(self, rows: "QuerySet[Any]", path: str = "project__slug") -> "QuerySet[Any]":
        slug = self.request.query_params.get("project")
        return rows.filter(**{path: slug}) if slug else rows

    def editable(self, given: dict[str, Any]) -> Project:
        return writable_project(self.request, given.pop("project", {}).get("slug", ""))


@extend_schema_view(
    list=extend_schema(summary="List channels", parameters=[PROJECT], description="Of projects that you edit."),
    retrieve=extend_schema(summary="One channel", parameters=[BY_PK]),
    destroy=extend_schema(summary="Delete a channel with its messages", parameters=[BY_PK]),
)
class ChannelViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, ScopedViewSet):
    """Where alerts are sent. For editors: the address of a webhook may be a secret in itself."""

    serializer_class = ChannelSerializer
    queryset = AlertChannel.objects.none()  # for the schema's types only

    def get_queryset(self) -> "QuerySet[AlertChannel]":
        editors = {"project__memberships__user": self.request.user, "project__memberships__role__in": [Role.EDITOR, Role.ADMIN]}
        return self.of_project(AlertChannel.objects.filter(**editors).select_related("project"))

    def get_object(self) -> AlertChannel:
        return alerts.get_channel(self.request.user, int(self.kwargs["pk"]))

    @extend_schema(summary="Make a channel", request=ChannelSerializer, responses={201: NewChannelSerializer})
    def create(self, request: Request) -> Response:
        given = checked(ChannelSerializer(data=request.data))
        channel = AlertChannel(project=self.editable(given), **given)
        with as_field_errors():
            alerts.save_channel(channel, request.user)
        return Response(NewChannelSerializer(channel).data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a channel", parameters=[BY_PK], request=ChannelChangeSerializer, responses=ChannelSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        channel = self.get_object()
        for name, value in checked(ChannelChangeSerializer(data=request.data)).items():
            setattr(channel, name, value)
        with as_field_errors():
            alerts.save_channel(channel, request.user)
        return Response(ChannelSerializer(channel).data)

    @extend_schema(
        summary="Make a new secret", parameters=[BY_PK], request=None, responses=NewChannelSerializer,
        description="The old one signs nothing any more.",
    )  # fmt: skip
    @action(detail=True, methods=["post"])
    def secret(self, request: Request, pk: str) -> Response:
        channel = self.get_object()
        alerts.renew_secret(channel)
        return Response(NewChannelSerializer(channel).data)

    @extend_schema(summary="Send a test", parameters=[BY_PK], request=None, responses={202: DeliverySerializer(many=True)})
    @action(detail=True, methods=["post"], pagination_class=None)
    def test(self, request: Request, pk: str) -> Response:
        return _tested(alert_jobs.send_test([self.get_object()]))

    @extend_schema(summary="The last messages of a channel", parameters=[BY_PK], responses=DeliverySerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def deliveries(self, request: Request, pk: str) -> Response:
        return Response(DeliverySerializer(alerts.shown_deliveries(channel=self.get_object()), many=True).data)


def _tested(deliveries: list[Delivery]) -> Response:
    return Response(DeliverySerializer(deliveries, many=True).data, status=status.HTTP_202_ACCEPTED)


@extend_schema_view(
    list=extend_schema(summary="List rules", parameters=[PROJECT]),
    retrieve=extend_schema(summary="One rule", parameters=[BY_PK]),
    destroy=extend_schema(summary="Delete a rule with its alerts", parameters=[BY_PK]),
)
class RuleViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, ScopedViewSet):
    """What counts as wrong in a training job, or in whatever job answers a set."""

    serializer_class = RuleSerializer
    queryset = AlertRule.objects.none()  # for the schema's types only

    def get_queryset(self) -> "QuerySet[AlertRule]":
        rules = AlertRule.objects.visible_to(self.request.user).select_related("project", "job", "prediction_set", "baseline")
        return self.of_project(rules.prefetch_related("channels"))

    def rule(self, needed: Role) -> AlertRule:
        return alerts.get_rule(self.request.user, int(self.kwargs["pk"]), needed)

    def perform_destroy(self, instance: AlertRule) -> None:
        self.rule(Role.EDITOR).delete()

    @extend_schema(summary="Make a rule", request=RuleSerializer, responses={201: RuleSerializer})
    def create(self, request: Request) -> Response:
        given = checked(RuleSerializer(data=request.data))
        project = self.editable(given)
        rule = AlertRule(project=project)
        job, asked = given.pop("job", {}).get("job_id"), given.pop("prediction_set", {}).get("name")
        if job:
            rule.job = _named(TrainingJob.objects.filter(project=project, job_id=job), "job")
        if asked:
            rule.prediction_set = _named(PredictionSet.objects.filter(project=project, name=asked), "prediction_set")
        given["baseline"] = given.pop("baseline_id", None)
        return Response(RuleSerializer(self._saved(rule, given)).data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a rule", parameters=[BY_PK], request=RuleChangeSerializer, responses=RuleSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        rule = self.rule(Role.EDITOR)
        return Response(RuleSerializer(self._saved(rule, checked(RuleChangeSerializer(data=request.data)))).data)

    def _saved(self, rule: AlertRule, given: dict[str, Any]) -> AlertRule:
        channels = given.pop("channels", None)
        if "baseline" in given:
            run = given.pop("baseline")
            rule.baseline = _named(PredictionRun.objects.filter(project=rule.project, pk=run), "baseline") if run else None
        for name, value in given.items():
            setattr(rule, name, value)
        with as_field_errors():
            return alerts.save_rule(rule, self.request.user, channels)

    @extend_schema(
        summary="Send a test through the rule's channels",
        parameters=[BY_PK],
        request=None,
        responses={202: DeliverySerializer(many=True)},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def test(self, request: Request, pk: str) -> Response:
        rule = self.rule(Role.EDITOR)
        return _tested(alert_jobs.send_test(list(rule.channels.all()), rule))

    @extend_schema(summary="The last messages of a rule", parameters=[BY_PK], responses=DeliverySerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def deliveries(self, request: Request, pk: str) -> Response:
        found = alerts.deliveries_of_rule(self.rule(Role.VIEWER), request.user)
        return Response(DeliverySerializer(found, many=True).data)


def _named(found: "QuerySet[Any]", field: str) -> Any:
    row = found.first()
    if row is None:
        raise serializers.ValidationError({field: "The project has none of that name or number."})
    return row


@extend_schema_view(
    list=extend_schema(
        summary="List alerts, newest first",
        parameters=[
            PROJECT,
            OpenApiParameter("status", str, enum=AlertStatus.values),
            OpenApiParameter("rule", int, description="Only of this rule."),
            OpenApiParameter("job_id", str, description="Only of this job."),
        ],
    ),
    retrieve=extend_schema(summary="One alert", parameters=[BY_PK]),
)
class AlertViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    """What rules have raised."""

    serializer_class = AlertSerializer
    pagination_class = NewestFirst
    queryset = Alert.objects.none()  # for the schema's types only

    def get_queryset(self) -> "QuerySet[Alert]":
        found = self.of_project(Alert.objects.visible_to(self.request.user).for_page(), "rule__project__slug")
        query = self.request.query_params
        if query.get("status"):
            found = found.filter(status=query["status"])
        if query.get("rule", "").isdecimal():
            found = found.filter(rule=int(query["rule"][:18]))
        return found.filter(job__job_id=query["job_id"]) if query.get("job_id") else found

    @extend_schema(summary="Acknowledge an alert", parameters=[BY_PK], request=None, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        alerts.acknowledge(alerts.get_alert(request.user, int(pk), Role.EDITOR), request.user)
        return Response(AlertSerializer(get_object_or_404(self.get_queryset(), pk=pk)).data)

    @extend_schema(summary="Resolve an alert", parameters=[BY_PK], request=ResolveSerializer, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str) -> Response:
        alert = alerts.get_alert(request.user, int(pk), Role.EDITOR)
        alerts.resolve(alert, request.user, checked(ResolveSerializer(data=request.data))["reason"])
        return Response(AlertSerializer(get_object_or_404(self.get_queryset(), pk=pk)).data)
