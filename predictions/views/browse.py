"""The images of a dataset, one of them, and what is beside: the filter goes through all of it in the address."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from datasets.access import get_dataset
from datasets.models import Sample
from predictions import overlays
from predictions.browsing import SORTS, Selection, class_counts, split_counts
from predictions.forms import FilterForm


@require_safe
def images(request: HttpRequest, pk: int) -> HttpResponse:
    """The grid; with `after`, the next page of it as a fragment."""
    dataset = get_dataset(request.user, pk)
    form = FilterForm(request.GET, dataset)
    selection = form.selection()
    samples, has_more = selection.page(_anchor(request, selection))
    context = {
        "dataset": dataset,
        "form": form,
        "runs": form.runs,
        "chosen": selection.runs,
        "is_filtering": selection.is_filtering,
        "samples": samples,
        "next": samples[-1].pk if has_more else None,
        "overlays": overlays.thumbs(samples, selection.runs),
        "overlay_id": f"overlays-{samples[0].pk if samples else 0}",
        "categories": overlays.category_entries(form.categories.values()),
        "query": _query(request),
        "sorts": SORTS,
        "api_url": f"/api/datasets/{pk}/samples/",
    }
    is_more = request.htmx and "after" in request.GET and not request.htmx.history_restore_request
    response = render(request, "predictions/images.html#samples" if is_more else "predictions/images.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
def facets(request: HttpRequest, pk: int) -> HttpResponse:
    """How many images fit, and the numbers beside the filter; loaded after the grid, which never waits for them."""
    dataset = get_dataset(request.user, pk)
    form = FilterForm(request.GET, dataset)
    selection = form.selection()
    classes, splits = class_counts(selection), split_counts(selection)
    context = {
        "dataset": dataset,
        "count": selection.samples().order_by().count() if selection.is_filtering else dataset.sample_count,
        "chosen": selection,
        "classes": [(each, classes.get(each.pk, 0)) for each in form.categories.values()],
        "splits": [(each, splits.get(each.pk, 0)) for each in form.splits.values()] if len(form.splits) > 1 else [],
        "beside_class": _query(request, "category"),
        "beside_split": _query(request, "split"),
    }
    return render(request, "predictions/_facets.html", context)


@require_safe
def sample(request: HttpRequest, pk: int, sample_pk: int) -> HttpResponse:
    dataset = get_dataset(request.user, pk)
    shown = get_object_or_404(Sample.objects.select_related("split"), dataset=dataset, pk=sample_pk)
    form = FilterForm(request.GET, dataset)
    selection = form.selection()
    before, after = selection.around(shown)
    categories = overlays.category_entries(form.categories.values(), with_skeletons=True)
    context = {
        "dataset": dataset,
        "sample": shown,
        "runs": form.runs,
        "chosen": selection.runs,
        "before": before,
        "after": after,
        "previous": before[-1] if before else None,
        "following": after[0] if after else None,
        "stage": _stage(shown, overlays.layers(shown, selection.runs), categories),
        "query": _query(request),
        "api_url": f"/api/datasets/{pk}/samples/{sample_pk}/annotations/",
    }
    return render(request, "predictions/sample.html", context)


def _stage(shown: Sample, layers: list[dict[str, Any]], categories: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The picture's frame, layers and the classes that occur. Images of unknown size get a frame that holds their boxes."""
    used = {entry["category"] for layer in layers for entry in layer["objects"]}
    boxes = [entry["box"] for layer in layers for entry in layer["objects"] if entry.get("box")]
    width = shown.width or max((box[0] + box[2] for box in boxes), default=640)
    height = shown.height or max((box[1] + box[3] for box in boxes), default=480)
    return {
        "width": width,
        "height": height,
        "layers": layers,
        "categories": {key: entry for key, entry in categories.items() if key in used},
    }


def _anchor(request: HttpRequest, selection: Selection) -> Sample | None:
    """The image after which the page goes on; one that is gone begins anew."""
    value = request.GET.get("after", "")
    if not value.isdecimal() or len(value) > 18:
        return None
    if selection.sort == "file":
        # This order knows no more of an image than its key.
        return Sample(pk=int(value))
    return Sample.objects.filter(dataset=selection.dataset, pk=int(value)).first()


def _query(request: HttpRequest, *without: str) -> str:
    """The filter without the place in it and what else is named, for links."""
    parameters = request.GET.copy()
    for name in ("after", *without):
        parameters.pop(name, None)
    return parameters.urlencode()
