"""Training jobs in the API: for people who look, and for the processes that train."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import require_role
from accounts.authentication import BearerTokenAuthentication
from accounts.models import Project, Role
from accounts.projects import personal_project
from predictions import prediction_sets, scoring, texts, totals, training, trends
from predictions import training_serializers as shapes
from predictions.answers import storable, storable_json
from predictions.ingest import Firing, ingest
from predictions.job_tokens import JobTokenAuthentication
from predictions.leakage_checks import leaks_of
from predictions.leakage_jobs import check_registered
from predictions.models import JobToken, PredictionRun, TrainingJob
from predictions.models.training import check_config
from predictions.prediction_sets import NewItem
from predictions.record import RECORDED

LIMIT, MOST = 50, 500
JOB_ID = OpenApiParameter(
    "job_id", str, OpenApiParameter.PATH, description="The job's own id, as the training script names it."
)
PROJECT = OpenApiParameter("project", str, description="Slug of the project, where several of yours have a job of that id.")
EPOCH = OpenApiParameter("epoch", float, description="Only answers of this epoch.")
SET = OpenApiParameter("prediction_set", str, description="Only answers to this set: a name, or name@version.")


def checked(form: serializers.Serializer) -> dict[str, Any]:
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class JobTokenScheme(OpenApiAuthenticationExtension):
    target_class = "predictions.job_tokens.JobTokenAuthentication"
    name = "jobToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A training job's own token (tsj_...), which writes to it alone.",
        }


class WriterView(APIView):
    """Written to by a training process: with its job's token, or with that of an editor."""

    authentication_classes = [JobTokenAuthentication, BearerTokenAuthentication, SessionAuthentication]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Before the body is read: who sends it, and how much it is."""
        super().initial(request, *args, **kwargs)
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024**2
            raise RequestDataTooBig(f"A request may hold {most} MB. Send fewer rows at once.")

    def job(self, job_id: str, project: str = "") -> TrainingJob:
        """The token's own job, whatever a payload says; else the editor's. A token of another job sees nothing (404)."""
        token = self.request.auth
        if isinstance(token, JobToken):
            if token.job.job_id != job_id:
                raise Http404
            return token.job
        return training.find_job(
            self.request.user, job_id, Role.EDITOR, project or self.request.query_params.get("project", "")
        )


class JobListView(generics.ListCreateAPIView):
    """Training jobs of your projects, newest first."""

    serializer_class = shapes.TrainingJobSerializer
    filter_backends: list[Any] = []
    queryset = TrainingJob.objects.none()  # for the schema's types only

    def get_queryset(self) -> QuerySet[TrainingJob]:
        jobs = TrainingJob.objects.visible_to(self.request.user).select_related("project", "owner")
        project = self.request.query_params.get("project")
        return jobs.filter(project__slug=project) if project else jobs

    @extend_schema(operation_id="training_jobs_list", summary="List training jobs", parameters=[PROJECT])
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(operation_id="training_jobs_create", summary="Make a training job")
    def post(self, request: Request) -> Response:
        given = checked(self.get_serializer(data=request.data))
        project = writable_project(request, given.pop("project", {}).get("slug", ""))
        with as_field_errors():
            job = training.create_job(project, request.user, **given)
        return Response(self.get_serializer(job).data, status=status.HTTP_201_CREATED)


def writable_project(request: Request, slug: str) -> Project:
    visible = Project.objects.visible_to(request.user)
    project = get_object_or_404(visible, slug=slug) if slug else personal_project(request.user)
    require_role(request.user, project, Role.EDITOR)
    return project


@contextmanager
def as_field_errors() -> Iterator[None]:
    """Django's refusals of single fields in the API's shape."""
    try:
        yield
    except DjangoValidationError as error:
        raise serializers.ValidationError(training.field_errors(error)) from None


class JobView(APIView):
    @extend_schema(
        summary="One training job",
        parameters=[JOB_ID, PROJECT],
        responses=shapes.TrainingJobSerializer,
        operation_id="training_jobs_retrieve",
    )
    def get(self, request: Request, job_id: str) -> Response:
        return Response(shapes.TrainingJobSerializer(self.job(request, job_id, Role.VIEWER)).data)

    @extend_schema(
        summary="Change a training job",
        parameters=[JOB_ID, PROJECT],
        request=shapes.TrainingJobChangeSerializer,
        responses=shapes.TrainingJobSerializer,
    )
    def patch(self, request: Request, job_id: str) -> Response:
        job = self.job(request, job_id, Role.EDITOR)
        given = checked(shapes.TrainingJobChangeSerializer(data=request.data))
        if "config" in given:
            with as_field_errors():
                check_config(given["config"])
        if "status" in given:
            training.set_status(job, given.pop("status"))
        for name, value in given.items():
            setattr(job, name, value)
        job.save()
        return Response(shapes.TrainingJobSerializer(job).data)

    @extend_schema(summary="Delete a training job with all its answers", parameters=[JOB_ID, PROJECT], responses={204: None})
    def delete(self, request: Request, job_id: str) -> Response:
        training.delete_job(self.job(request, job_id, Role.EDITOR))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def job(self, request: Request, job_id: str, needed: Role) -> TrainingJob:
        return training.find_job(request.user, job_id, needed, request.query_params.get("project", ""))


class StartView(WriterView):
    @extend_schema(
        summary="A process begins to train",
        description="Makes the job on first contact where an editor's token is used; answers with its panel and attempt.",
        parameters=[JOB_ID],
        request=shapes.StartSerializer,
        responses=shapes.StartedSerializer,
    )
    def post(self, request: Request, job_id: str) -> Response:
        given = checked(shapes.StartSerializer(data=request.data))
        job = self.job_on_first_contact(request, job_id, given)
        asked = given.get("prediction_set") or (job.panel.prediction_set if job.panel.source == "set" else "")
        version = prediction_sets.find_version(job.project, asked) if asked else None
        if version:
            prediction_sets.check_fits(job, version)
        job = training.start(job, given["attempt"], storable_json(given.get("environment", {})), given.get("framework", ""))
        if version:
            prediction_sets.note_asked(job, version)
        started = {
            "job_id": job.job_id,
            "attempt": job.attempt,
            "url": request.build_absolute_uri(job.get_absolute_url()),
            "panel": job.panel.as_dict() if "predictions" in job.config else None,
            "prediction_set": version,
        }
        return Response(shapes.StartedSerializer(started).data)

    def job_on_first_contact(self, request: Request, job_id: str, given: dict[str, Any]) -> TrainingJob:
        try:
            return self.job(job_id, given.get("project", ""))
        except Http404:
            if isinstance(request.auth, JobToken):
                raise
        project = writable_project(request, given.get("project", ""))
        fields = {name: given[name] for name in ("name", "task_type", "framework", "config") if given.get(name)}
        with as_field_errors():
            return training.first_contact(request.user, job_id, project, **fields)


class SetsView(WriterView):
    @extend_schema(
        summary="Register the questions that a process has drawn",
        parameters=[JOB_ID],
        request=shapes.RegisterSetSerializer,
        responses=shapes.RegisteredSetSerializer,
    )
    def post(self, request: Request, job_id: str) -> Response:
        job = self.job(job_id)
        given = checked(shapes.RegisterSetSerializer(data=request.data))
        items = [
            NewItem(
                key=item["item_key"],
                sample_index=item["sample_index"],
                prompt=item.get("prompt"),
                messages=storable_json(item.get("messages")),
                references=item["references"],
                metadata=storable_json(item["metadata"]),
            )
            for item in given["items"]
        ]
        version = prediction_sets.register_sampled(
            job, request.user, storable(given["name"]), items, source=storable(given["source"]), seed=given["seed"]
        )
        check_registered(version, request.user)
        return Response(shapes.RegisteredSetSerializer(version).data)


class ProgressView(WriterView):
    @extend_schema(
        summary="A process reports how far it is, or that it has ended",
        parameters=[JOB_ID],
        request=shapes.ProgressSerializer,
        responses=shapes.ProgressedSerializer,
    )
    def post(self, request: Request, job_id: str) -> Response:
        job = self.job(job_id)
        told = storable_json(checked(shapes.ProgressSerializer(data=request.data)))
        job = training.note_progress(job, told)
        return Response({"job_id": job.job_id, "status": job.status, "warnings": leaks_of(job)})


class CheckpointsView(WriterView):
    @extend_schema(
        summary="A process has saved a checkpoint",
        parameters=[JOB_ID],
        request=shapes.CheckpointSerializer,
        responses=shapes.CheckpointSerializer,
    )
    def post(self, request: Request, job_id: str) -> Response:
        job = self.job(job_id)
        given = checked(shapes.CheckpointSerializer(data=request.data))
        checkpoint = training.note_checkpoint(
            job, storable(given["path"]), given["epoch"], given["step"], storable_json(given.get("metrics", {}))
        )
        return Response(shapes.CheckpointSerializer(checkpoint).data)


class PredictionsView(WriterView):
    @extend_schema(
        operation_id="training_predictions_create",
        summary="Store answers of a training",
        description="Idempotent on (job, set, item, epoch, step, attempt). Bad rows are refused with reasons, good ones stored.",
        request=shapes.PredictionsPostSerializer,
        responses=shapes.IngestedSerializer,
    )
    def post(self, request: Request) -> Response:
        given = checked(shapes.FiringSerializer(data=request.data))
        job = self.job(given["job_id"])
        firing = Firing(
            epoch=given.get("epoch") or 0.0,
            step=given.get("step") or 0,
            attempt=given.get("attempt") or max(job.attempt, 1),
            prediction_set=given.get("prediction_set") or "",
            checkpoint=storable(given.get("checkpoint") or ""),
            generation_params=storable_json(given.get("generation_params") or {}),
        )
        return Response(vars(ingest(job, firing, given["predictions"])))


class ReaderView(APIView):
    """Read by people and scripts; a job's token cannot."""

    def job(self, request: Request, job_id: str) -> TrainingJob:
        return training.find_job(request.user, job_id, project=request.query_params.get("project", ""))


class PredictionListView(ReaderView):
    @extend_schema(
        operation_id="training_predictions_list",
        summary="Answers of a job, in order of training and sample index",
        parameters=[
            JOB_ID,
            PROJECT,
            EPOCH,
            OpenApiParameter("limit", int, default=LIMIT, description=f"Up to {MOST}."),
            OpenApiParameter("offset", int, default=0),
        ],
        responses=shapes.PredictionsPageSerializer,
    )
    def get(self, request: Request, job_id: str) -> Response:
        job = self.job(request, job_id)
        epoch = number(request, "epoch", float, None)
        limit = number(request, "limit", int, LIMIT, most=MOST)
        offset = number(request, "offset", int, 0)
        rows = texts.page(job, epoch=epoch, offset=offset, limit=limit) if limit else []
        records = texts.records(rows)
        return Response(
            {
                "predictions": [shapes.text_as_dict(row, records) for row in rows],
                "total_count": texts.total(job, epoch),
                "epoch_count": len(texts.epochs(job)),
            }
        )


def number(request: Request, name: str, kind: type, default: Any, most: int | None = None) -> Any:
    """A number of the address, not below 0; above `most` it is that."""
    text = request.query_params.get(name)
    if text in (None, ""):
        return default
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**53:
        raise serializers.ValidationError({name: f"{text!r} is not a number from 0."})
    return value if most is None else min(value, most)


class RunsView(generics.ListAPIView):
    """In the order in which they began; those superseded by a later attempt say so."""

    serializer_class = shapes.TrainingRunSerializer
    filter_backends: list[Any] = []
    queryset = PredictionRun.objects.none()  # for the schema's types only

    def get_queryset(self) -> QuerySet[PredictionRun]:
        project = self.request.query_params.get("project", "")
        job = training.find_job(self.request.user, self.kwargs["job_id"], project=project)
        return PredictionRun.objects.filter(job=job).select_related(*RECORDED)

    @extend_schema(operation_id="training_runs_list", summary="Runs of a job, with their records", parameters=[JOB_ID, PROJECT])
    def get(self, request: Request, job_id: str) -> Response:
        return self.list(request)


class EpochsView(ReaderView):
    @extend_schema(summary="Epochs of a job that have answers", parameters=[JOB_ID, PROJECT], responses=shapes.EpochsSerializer)
    def get(self, request: Request, job_id: str) -> Response:
        return Response({"epochs": texts.epochs(self.job(request, job_id))})


class TrendsView(ReaderView):
    @extend_schema(
        summary="Scores of a job over its epochs", parameters=[JOB_ID, PROJECT, SET], responses=shapes.TrendsSerializer
    )
    def get(self, request: Request, job_id: str) -> Response:
        job = self.job(request, job_id)
        rows = [trends.as_row(point) for point in trends.points(job, request.query_params.get("prediction_set", ""))]
        return Response(
            {
                "job_id": job.job_id,
                "trends": rows,
                "overall_improvement": trends.overall_improvement(rows),
                "bleu_signature": totals.bleu_signature(),
                "score_version": scoring.VERSION,
            }
        )


class SampleTrendView(ReaderView):
    @extend_schema(
        summary="What was answered at one sample index, over the epochs",
        parameters=[JOB_ID, PROJECT, OpenApiParameter("sample_index", int, OpenApiParameter.PATH)],
        responses=shapes.SampleTrendSerializer,
    )
    def get(self, request: Request, job_id: str, sample_index: int) -> Response:
        job = self.job(request, job_id)
        rows = texts.of_sample(job, sample_index)
        records = texts.records(rows)
        trend = [shapes.text_as_dict(row, records) for row in rows]
        last = trend[-1] if trend else {}
        return Response(
            {
                "job_id": job.job_id,
                "sample_index": sample_index,
                "prompt": last.get("prompt"),
                "ground_truth": last.get("ground_truth"),
                "trend": trend,
            }
        )
