"""The comparison of two runs in the API."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from datasets.models import JobStatus
from evaluation import jobs, large
from evaluation.comparison import Judgement, check_metric, default_metric, judge, what_differs
from evaluation.pairing import pair
from evaluation.runs import find_runs
from evaluation.scores import CONFIDENCE, metric_of
from predictions.models import PredictionRun

NOTHING_JUDGED: dict[str, list[Judgement]] = {}
INTERVAL_HELP = "95 %: low and high."
EXAMPLE = "12 better, 9 worse, 79 the same: not decisive (p = 0.66); this set can detect differences of 13 points"


class CompareRequestSerializer(serializers.Serializer):
    baseline = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    candidate = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    metric = serializers.CharField(required=False, default="", max_length=200)
    tag = serializers.CharField(required=False, default="", max_length=60)
    confidence = serializers.FloatField(required=False, default=CONFIDENCE, min_value=0, max_value=1)
    set = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1)


class IntervalField(serializers.ListField):
    child = serializers.FloatField()


class ComparisonSerializer(serializers.Serializer):
    baseline = serializers.IntegerField(help_text="The run's id.")
    candidate = serializers.IntegerField(help_text="The run's id.")
    metric = serializers.CharField()
    tag = serializers.CharField(allow_blank=True, help_text="Empty: all shared items.")
    matched = serializers.IntegerField(help_text="Items that both runs have: texts by item key, images by sample.")
    scored = serializers.IntegerField(
        help_text="Of them, those with a value of the metric in both runs. What follows is over these."
    )
    only_baseline = serializers.IntegerField()
    only_candidate = serializers.IntegerField()
    improved = serializers.IntegerField()
    regressed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    baseline_mean = serializers.FloatField(allow_null=True)
    candidate_mean = serializers.FloatField(allow_null=True)
    baseline_interval = IntervalField(allow_null=True, help_text=INTERVAL_HELP)
    candidate_interval = IntervalField(allow_null=True, help_text=INTERVAL_HELP)
    difference = serializers.FloatField(allow_null=True, help_text="Candidate minus baseline, whatever the metric's direction.")
    interval = IntervalField(allow_null=True, help_text=f"Of the difference, {INTERVAL_HELP}")
    lower_is_better = serializers.BooleanField(help_text="The metric's direction.")
    test = serializers.ChoiceField(choices=["exact McNemar", "paired bootstrap", "none"])
    p_value = serializers.FloatField(allow_null=True)
    detectable = serializers.FloatField(allow_null=True, help_text="The least difference found with 80 % power.")
    decision = serializers.ChoiceField(choices=["better", "worse", "undecided"])
    verdict = serializers.CharField(help_text=f"Such as: {EXAMPLE}")
    differences = serializers.ListField(
        child=serializers.CharField(), help_text="What makes the runs not comparable, in words."
    )


class WaitingSerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=JobStatus.choices)
    stage = serializers.CharField(allow_blank=True)
    progress_done = serializers.IntegerField()
    progress_total = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)


def as_answer(baseline: PredictionRun, candidate: PredictionRun, found: Judgement) -> dict[str, Any]:
    plain = {name: getattr(found, name) for name in ComparisonSerializer._declared_fields if hasattr(found, name)}
    return plain | {
        "baseline": baseline.pk,
        "candidate": candidate.pk,
        "metric": found.metric.name,
        "lower_is_better": found.metric.lower_is_better,
        "differences": what_differs(baseline, candidate),
    }


class CompareView(APIView):
    """Two runs by one metric: counts, means, the test and its verdict."""

    @extend_schema(
        operation_id="compare",
        summary="Compare two runs",
        parameters=[
            OpenApiParameter("baseline", int, required=True, description="Id of the run that is held against."),
            OpenApiParameter("candidate", int, required=True, description="Id of the run that is judged."),
            OpenApiParameter(
                "metric", str, description="Left out: the first that both have of passed, exact_match and the others."
            ),
            OpenApiParameter("tag", str, description="Only items with this tag."),
            OpenApiParameter(
                "confidence", float, description="Of images: predictions below it are not counted. 0.25 unless given."
            ),
            OpenApiParameter(
                "set", int, description="Of images: the version of a curated set whose images and outcomes count."
            ),
        ],
        responses={
            200: ComparisonSerializer,
            202: OpenApiResponse(WaitingSerializer, "Large runs are compared in the background: ask again until it is 200."),
        },
    )
    def get(self, request: Request) -> Response:
        form = CompareRequestSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        baseline, candidate = find_runs(request.user, [asked["baseline"], asked["candidate"]])
        if asked["metric"]:
            check_metric(baseline, candidate, asked["metric"])
        how = {"confidence": asked["confidence"], "set_version": asked["set"]}
        if not large.is_large(baseline, candidate):
            pairing, judged = pair(baseline, candidate, **how), NOTHING_JUDGED
        else:
            job = jobs.comparison_of(request.user, baseline, candidate, **how)
            if job.status != JobStatus.COMPLETED:
                return Response(WaitingSerializer(job).data, status=status.HTTP_202_ACCEPTED)
            pairing, judged = large.kept(job)
        metric = metric_of(asked["metric"] or default_metric(pairing))
        known = [one for one in judged.get(asked["tag"], []) if one.metric == metric]
        found = known[0] if known else judge(pairing, [metric], asked["tag"])[0]
        return Response(ComparisonSerializer(as_answer(baseline, candidate, found)).data)
