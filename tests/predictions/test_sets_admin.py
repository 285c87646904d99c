"""Sets in the admin: drafts are edited page by page, published versions are looked at."""

import io
import json
import zipfile
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from predictions import curation, draft_items
from predictions.models import PredictionSet, PredictionSetVersion
from predictions.set_versions_admin import ITEMS_PER_PAGE
from tests.factories import make_firing, make_golden_set, make_item_record, make_project, make_training_job, make_user


@pytest.fixture
def client(db: None, client_of: Any) -> Client:
    return client_of(make_user("root", is_staff=True, is_superuser=True))


@pytest.fixture
def golden(db: None) -> PredictionSet:
    return make_golden_set(make_project(), items=[make_item_record(f"question {number:02}") for number in range(30)])


def url(name: str, *arguments: Any) -> str:
    return reverse(f"admin:predictions_{name}", args=arguments)


def act(client: Client, action: str, *sets: PredictionSet) -> Any:
    data = {"action": action, "_selected_action": [asked.pk for asked in sets]}
    return client.post(url("predictionset_changelist"), data, follow=True)


def form_of(client: Client, where: str) -> dict[str, Any]:
    """The fields of a change page as a browser would send them."""
    context = client.get(where).context
    data: dict[str, Any] = {}
    for form in [context["adminform"].form, *(each.formset.management_form for each in context["inline_admin_formsets"])]:
        data |= {form.add_prefix(name): form[name].value() for name in form.fields}
    for each in context["inline_admin_formsets"]:
        for form in each.formset.forms:
            data |= {form.add_prefix(name): form[name].value() for name in form.fields}
    return {name: "" if value is None else value for name, value in data.items()}


def test_a_set_is_made_with_its_draft(client: Client) -> None:
    project = make_project()
    client.post(url("predictionset_add"), {"name": "golden", "project": project.pk, "description": ""})
    made = PredictionSet.objects.get()
    assert made.is_curated and made.created_by.username == "root" and curation.draft_of(made)
    again = client.post(url("predictionset_add"), {"name": "golden", "project": project.pk})
    assert again.status_code == 200 and "has a set of this name already" in again.content.decode()


def test_the_list_counts_and_finds(client: Client, golden: PredictionSet) -> None:
    page = client.get(url("predictionset_changelist"), {"q": "gold"}).content.decode()
    assert "30</a>" in page and "golden" in page
    assert "question 07" in client.get(url("predictionsetitem_changelist"), {"q": "question 07"}).content.decode()


def test_items_are_edited_page_by_page(client: Client, golden: PredictionSet) -> None:
    draft = curation.begin_draft(golden)
    where = url("predictionsetversion_change", draft.pk)
    assert client.get(where).content.decode().count("question 0") >= 10
    second = form_of(client, f"{where}?page=2")
    assert int(second["items-INITIAL_FORMS"]) == 30 - ITEMS_PER_PAGE
    second |= {"items-0-references": "one\ntwo", "items-0-tags": "a, b", "items-1-DELETE": "on"}
    new = int(second["items-TOTAL_FORMS"]) - 1
    second |= {f"items-{new}-prompt": "brand new", f"items-{new}-validators": '[{"type": "is_json"}]'}
    assert client.post(f"{where}?page=2", second).status_code == 302
    items = list(draft.items.order_by("sample_index"))
    assert (items[25].references, items[25].tags) == (["one", "two"], ["a", "b"])
    assert (items[-1].prompt, items[-1].key) == ("brand new", make_item_record("brand new").key)
    draft.refresh_from_db()
    assert draft.item_count == len(items) == 30


def test_a_bad_validator_is_told_at_its_row(client: Client, golden: PredictionSet) -> None:
    draft = curation.begin_draft(golden)
    where = url("predictionsetversion_change", draft.pk)
    page = client.post(where, form_of(client, where) | {"items-0-validators": '[{"type": "gone"}]'})
    assert page.status_code == 200 and "must be an object whose type" in page.content.decode()


def test_a_published_version_is_only_looked_at(client: Client, golden: PredictionSet) -> None:
    version = golden.versions.get()
    where = url("predictionsetversion_change", version.pk)
    page = client.get(where).content.decode()
    assert "question 00" in page and "<textarea" not in page and 'name="_save"' not in page
    assert client.post(where, {"validators": "[]"}).status_code == 403


def test_a_draft_that_was_published_meanwhile_is_not_saved(client: Client, golden: PredictionSet) -> None:
    draft_items.put_items(golden, [make_item_record("more?")])
    draft = curation.draft_of(golden)
    where = url("predictionsetversion_change", draft.pk)
    data = form_of(client, where)
    curation.publish(golden, None)
    assert client.post(where, data | {"items-0-notes": "late"}).status_code == 403
    assert not draft.items.filter(notes="late").exists()


def test_drafts_are_published_by_an_action(client: Client, golden: PredictionSet) -> None:
    assert "has no draft" in act(client, "publish_drafts", golden).content.decode()
    act(client, "begin_drafts", golden)
    draft_items.put_items(golden, [make_item_record("more?")])
    assert "@2 is published with 31 items." in act(client, "publish_drafts", golden).content.decode()
    assert golden.versions.get(number=2).published_by.username == "root"


def test_sets_are_exported_by_an_action(client: Client, golden: PredictionSet) -> None:
    lines = act(client, "export_latest", golden).content.decode().splitlines()
    assert len(lines) == 30 and json.loads(lines[0])["prompt"] == "question 00"
    other = make_golden_set(golden.project, "other/../set")
    archive = zipfile.ZipFile(io.BytesIO(act(client, "export_latest", golden, other).content))
    assert len(archive.namelist()) == 2 and not any("/" in name for name in archive.namelist())


def test_a_file_is_imported(client: Client, golden: PredictionSet) -> None:
    where = url("predictionset_import", golden.pk)
    bad = client.post(where, {"file": ContentFile(b'{"prompt": 1}', "a.jsonl"), "mode": "add"})
    assert "row 1, prompt" in bad.content.decode() and curation.draft_of(golden) is None
    good = {"file": ContentFile(b'{"prompt": "more?"}', "a.jsonl"), "mode": "add", "publish": "on", "note": "more"}
    assert client.post(where, good).status_code == 302
    assert golden.versions.get(number=2).item_count == 31


def test_a_used_set_stays(client: Client, golden: PredictionSet) -> None:
    key = golden.versions.get().items.first().key
    answers = [{"sample_index": 0, "item_key": key, "prediction": "4"}]
    make_firing(make_training_job(golden.project, "nightly"), 1, answers, prediction_set="golden@1")
    assert client.post(url("predictionset_delete", golden.pk), {"post": "yes"}).status_code == 403
    act(client, "delete_selected", golden)
    assert PredictionSetVersion.objects.exists()


def test_an_unused_one_is_deleted_with_its_items(client: Client, golden: PredictionSet) -> None:
    shown = client.get(url("predictionset_delete", golden.pk)).content.decode()
    assert "Items: 30" in shown
    client.post(url("predictionset_delete", golden.pk), {"post": "yes"})
    assert not PredictionSet.objects.exists()
