"""A test run on one page that holds everything it shows: to keep, to send, to print to PDF."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from datasets.models import JobStatus
from evaluation.access import get_test_run
from evaluation.operating_points import matrix_of, point_at, worst_confusions
from evaluation.report_pictures import confidence_picture, crop_pictures, precision_recall_picture
from evaluation.test_figures import headlines, others
from evaluation.test_forms import PointForm
from evaluation.test_protocol import preprocessing_card, rules_in_words
from evaluation.views.test_runs import error_rows

SLICES, MISTAKES, LARGEST_MATRIX = 12, 12, 24


@require_safe
def report(request: HttpRequest, pk: int) -> HttpResponse:
    test_run = get_test_run(request.user, pk)
    if test_run.status != JobStatus.COMPLETED:
        raise Http404
    point = point_at(test_run, PointForm(request.GET).asked()["confidence"])
    matrix = matrix_of(point, "confused")
    context = {
        "test_run": test_run,
        "point": point,
        "total": point.total,
        "headlines": headlines(test_run),
        "others": others(test_run),
        "classes": list(zip(point.classes(), test_run.per_class_metrics, strict=True)),
        "is_labels": test_run.task_type == "classification",
        "errors": error_rows(point),
        "confusions": worst_confusions(point),
        "matrix": matrix if len(matrix.columns) <= LARGEST_MATRIX else None,
        "slices": test_run.slices[:SLICES],
        "rules": rules_in_words(test_run),
        "preprocessing": preprocessing_card(test_run),
        "pictures": [precision_recall_picture(test_run), confidence_picture(test_run, point.confidence)],
        "mistakes": crop_pictures(point, MISTAKES),
    }
    response = render(request, "tests/report.html", context)
    if "download" in request.GET:
        response["Content-Disposition"] = f'attachment; filename="test-{test_run.pk}-{slugify(str(test_run))[:60]}.html"'
    return response
