"""Files of a set: looked at before they are stored, written, and training data searched for its questions."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Role
from datasets.importers.problems import ImportRefused
from datasets.models import Upload
from datasets.uploads import UploadRefused, given_upload, remove_upload
from predictions import curation, leakage, leakage_checks, set_content, set_files, set_imports
from predictions.models import PredictionSet
from predictions.prediction_sets import SetRefused
from predictions.set_files import SetFileRefused
from predictions.set_files.base import ItemRecord, SetContent
from predictions.sets_access import get_set, get_version
from predictions.sets_downloads import download
from predictions.sets_forms import ImportFileForm, LeakageForm
from predictions.training_sources import training_file
from predictions.views.sets.pages import INVALID, frame, is_fragment, posted

SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
def import_file(request: HttpRequest, pk: int) -> HttpResponse:
    """First what the file holds and what is wrong with it; stored when somebody has seen that."""
    asked = get_set(request.user, pk, Role.EDITOR)
    if not asked.is_curated:
        messages.error(request, f"'{asked.name}' is drawn from training data. Import into a curated set.")
        return redirect(asked)
    form = ImportFileForm(*posted(request))
    context: dict[str, Any] = {
        **frame(asked),
        "form": form,
        "formats": set_files.FORMATS,
        "endings": ",".join(set_files.ENDINGS),
    }
    if request.method == "POST" and form.is_valid():
        try:
            upload = given_upload(
                request.user, asked.project, file=form.cleaned_data["file"], upload=form.cleaned_data["upload"]
            )
            assert upload is not None
            content = _read(upload, form)
        except (ImportRefused, UploadRefused) as refusal:
            form.add_error("file", f"{refusal} {refusal.remedy}")
        except SetFileRefused as refusal:
            context |= {"problems": refusal.problems, "upload": upload}
        else:
            if "store" in request.POST:
                return _store(request, asked, content, upload, form)
            context |= {"upload": upload, **_preview(asked, content)}
    is_wrong = bool(form.errors or "problems" in context)
    return render(request, "sets/import.html", context, status=INVALID if is_wrong else 200)


def _read(upload: Upload, form: ImportFileForm) -> SetContent:
    if not upload.is_complete:
        raise UploadRefused("The file has not arrived in full.", "Upload it again.")
    with upload.path.open("rb") as file:
        data = file.read(set_files.LARGEST_FILE + 1)
    given = form.cleaned_data
    return set_imports.read_file(upload.file_name, data, file_format=given["file_format"], skips_unknown=given["skip_unknown"])


def _preview(asked: PredictionSet, content: SetContent) -> dict[str, Any]:
    """What the file holds, and how much of it the draft holds already."""
    draft = curation.draft_of(asked) or curation.latest_of(asked)
    known = {} if draft is None else {record.key: record for record in set_content.content_of(draft).items}
    new = [record for record in content.items if record.key not in known]
    same = sum(known.get(record.key) == record for record in content.items)
    kinds = {"prompts": "prompt", "conversations": "messages", "images": "image"}
    return {
        "content": content,
        "notes": set_imports.told(content),
        "examples": content.items[:SHOWN],
        "kinds": {label: count for label, name in kinds.items() if (count := _count(content.items, name))},
        "with_references": sum(bool(record.references) for record in content.items),
        "with_validators": sum(bool(record.validators) for record in content.items),
        "new": len(new),
        "same": same,
        "differing": len(content.items) - len(new) - same,
        "not_in_file": len(known.keys() - {record.key for record in content.items}),
    }


def _count(items: list[ItemRecord], name: str) -> int:
    return sum(getattr(record, name) is not None for record in items)


def _store(
    request: HttpRequest, asked: PredictionSet, content: SetContent, upload: Upload, form: ImportFileForm
) -> HttpResponse:
    try:
        done = set_imports.import_set(asked.project, request.user, asked.name, content, mode=form.cleaned_data["mode"] or "add")
    except SetFileRefused as refusal:
        context = {**frame(asked), "form": form, "formats": set_files.FORMATS, "problems": refusal.problems, "upload": upload}
        return render(request, "sets/import.html", context, status=INVALID)
    except SetRefused as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
        return redirect(asked)
    remove_upload(upload)
    messages.success(request, f"{upload.file_name}: {done.changed.in_words()}. Publish the draft when it is as you want it.")
    return redirect(asked)


@require_safe
def export_file(request: HttpRequest, pk: int) -> HttpResponse:
    asked = get_set(request.user, pk)
    file_format = request.GET.get("file_format", "jsonl")
    version = get_version(asked, request.GET.get("version", "") or ("latest" if curation.latest_of(asked) else "draft"))
    try:
        return download(version, file_format if file_format in set_files.FORMATS else "jsonl")
    except SetFileRefused as refusal:
        messages.error(request, f"{refusal} {refusal.remedy}")
        return redirect(asked)


@require_http_methods(["GET", "HEAD", "POST"])
def leaks(request: HttpRequest, pk: int) -> HttpResponse:
    """A version against training data. Viewers may look: it changes nothing."""
    asked = get_set(request.user, pk)
    versions = [
        ("draft" if each.is_open and asked.is_curated else str(each.number), f"{each} · {each.item_count:,} items")
        for each in asked.versions.select_related("prediction_set")
    ]
    form = LeakageForm(*posted(request), versions)
    context: dict[str, Any] = {**frame(asked), "form": form, "roots": settings.IMPORT_ROOTS, "kinds": leakage.KINDS}
    context["checks"] = list(leakage_checks.of_set(asked.pk)[:SHOWN])
    context["is_working"] = any(check.is_active for check in context["checks"])
    if is_fragment(request):
        return render(request, "sets/leakage.html#checks", context)
    if request.method == "POST" and form.is_valid():
        try:
            version = get_version(asked, form.cleaned_data["version"])
            with training_file(file=form.cleaned_data["file"], path=form.cleaned_data.get("path", "")) as path:
                found = leakage.check_file(version, path)
        except (SetRefused, ImportRefused) as refusal:
            form.add_error(None, f"{refusal} {refusal.remedy}")
        else:
            context |= {"found": found, "rows": _rows(found)}
    return render(request, "sets/leakage.html", context, status=INVALID if form.errors else 200)


def _rows(found: leakage.Leakage) -> list[tuple[str, int, int]]:
    return [(label, found.items[kind], found.rows[kind]) for kind, label in leakage.KINDS.items()]
