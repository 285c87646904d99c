"""The pages of sets: what curators see and do, also without JavaScript."""

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Project, User
from datasets.models import Upload
from predictions import curation, set_content
from predictions import draft_items as drafting
from predictions.models import PredictionSet, PredictionSetItem, SetKind, TextPrediction
from predictions.set_files.base import made_item
from tests.factories import (
    make_dataset,
    make_firing,
    make_golden_set,
    make_item_record,
    make_project,
    make_sample,
    make_training_job,
    make_user,
)

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def golden(project: Project) -> PredictionSet:
    return make_golden_set(project)


@pytest.fixture
def client(user: User, client_of: Any) -> Client:
    return client_of(user)


def url(name: str, *arguments: Any) -> str:
    return reverse(f"sets:{name}", args=arguments)


def page(client: Client, name: str, /, *arguments: Any, **query: Any) -> str:
    response = client.get(url(name, *arguments), query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def draft_items(asked: PredictionSet) -> list[PredictionSetItem]:
    draft = curation.draft_of(asked)
    return [] if draft is None else list(draft.items.order_by("sample_index"))


# --- Lists and the set's page ------------------------------------------------------------------------------------------------
def test_an_empty_project_says_what_sets_are_for(client: Client, project: Project) -> None:
    assert "No sets of questions yet" in page(client, "list", project.slug)


def test_curated_and_sampled_are_told_apart(client: Client, project: Project, golden: PredictionSet) -> None:
    make_firing(make_training_job(project, "nightly"))
    shown = page(client, "list", project.slug)
    assert 'data-kind="curated"' in shown and 'data-kind="sampled"' in shown
    only = page(client, "list", project.slug, kind="curated")
    assert "golden" in only and "answers of nightly" not in only
    assert "No set fits" in page(client, "list", project.slug, search="zzz")


def test_viewers_see_and_are_offered_nothing(client_of: Any, project: Project, golden: PredictionSet) -> None:
    viewer = make_user()
    project.memberships.create(user=viewer, role="viewer")
    curation.begin_draft(golden)
    shown = page(client_of(viewer), "set", golden.pk)
    assert "Draft of version 2" in shown and "2 + 2 =" in shown
    assert not any(word in shown for word in ("Publish</a>", "Add item", "data-select", "Discard the draft"))


def test_a_set_is_made(client: Client, project: Project) -> None:
    response = client.post(url("new", project.slug), {"name": " golden ", "description": "What ships."})
    made = PredictionSet.objects.get()
    assert response.headers["Location"] == made.get_absolute_url()
    assert (made.name, made.kind, made.description) == ("golden", SetKind.CURATED, "What ships.")
    assert "The draft is empty" in page(client, "set", made.pk)


@pytest.mark.parametrize(("name", "said"), [("golden", "already"), ("a@b", "cannot name a set"), ("", "required")])
def test_a_name_that_does_not_fit_is_told(client: Client, golden: PredictionSet, name: str, said: str) -> None:
    response = client.post(url("new", golden.project.slug), {"name": name})
    assert response.status_code == 422 and said in response.content.decode()


def test_versions_stand_in_a_timeline_with_who_uses_them(client: Client, project: Project, golden: PredictionSet) -> None:
    job = make_training_job(project, "nightly", name="Nightly")
    key = golden.versions.get().items.first().key
    make_firing(job, 1, [{"sample_index": 0, "item_key": key, "prediction": "0"}], prediction_set="golden@1")
    shown = page(client, "set", golden.pk)
    assert golden.versions.get().content_hash[:12] in shown and "Nightly</a>" in shown and "1 run" in shown


def test_items_are_searched_and_filtered(client: Client, golden: PredictionSet) -> None:
    drafting.put_items(
        golden,
        [
            make_item_record("tagged?", tags=["hard"], validators=[{"type": "is_json"}]),
            made_item(row=0, messages=[{"role": "user", "content": "spoken?"}], references=["needle"]),
        ],
    )
    assert "tagged?" in page(client, "set", golden.pk, tag="hard") and "spoken?" not in page(
        client, "set", golden.pk, tag="hard"
    )
    assert "tagged?" in page(client, "set", golden.pk, validator="is_json")
    for search in ("spoken", "needle"):
        found = page(client, "set", golden.pk, search=search)
        assert "spoken?" in found and "tagged?" not in found
    assert "No item fits" in page(client, "set", golden.pk, search="zzz")
    fragment = client.get(url("set", golden.pk), {"search": "spoken"}, headers=HTMX).content.decode()
    assert fragment.strip().startswith('<div id="items">') and "<html" not in fragment


def test_fifty_items_stand_on_a_page(client: Client, project: Project) -> None:
    golden = make_golden_set(project, items=[make_item_record(f"question {number:03}") for number in range(60)])
    assert "question 049" in page(client, "set", golden.pk) and "question 050" not in page(client, "set", golden.pk)
    assert "question 050" in page(client, "set", golden.pk, page=2)


def test_the_page_takes_as_many_queries_for_many_items(client: Client, project: Project) -> None:
    counts = []
    for number in (10, 20):
        dataset = make_dataset(project)
        images = drafting.records_of_images([make_sample(dataset) for _ in range(number)])
        asked = make_golden_set(
            project, f"golden {number}", items=[*images, *(make_item_record(f"{n}?") for n in range(number))]
        )
        curation.begin_draft(asked)
        with CaptureQueriesContext(connection) as queries:
            page(client, "set", asked.pk)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_list_takes_as_many_queries_for_many_sets(client: Client, project: Project) -> None:
    counts = []
    for start in (0, 10):
        for number in range(start, start + 10):
            make_golden_set(project, f"golden {number}")
        with CaptureQueriesContext(connection) as queries:
            page(client, "list", project.slug)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_version_is_found_by_its_name(client: Client, golden: PredictionSet) -> None:
    response = client.get(url("find", golden.project.slug), {"reference": "golden@1"})
    assert response.headers["Location"] == f"{golden.get_absolute_url()}?version=1"


def test_the_palette_finds_sets(client: Client, golden: PredictionSet) -> None:
    assert golden.get_absolute_url() in client.get("/jump/", {"q": "gold"}).content.decode()


# --- Editing -----------------------------------------------------------------------------------------------------------------
FIELDS = {
    "asks": "prompt",
    "prompt": "2 + 3 =",
    "references": ["5", ""],
    "validators": "",
    "tags": "maths, easy",
    "weight": "2",
}


def test_an_item_is_added(client: Client, golden: PredictionSet) -> None:
    response = client.post(url("item_add", golden.pk), FIELDS)
    assert response.headers["Location"] == golden.get_absolute_url()
    item = draft_items(golden)[-1]
    assert (item.prompt, item.references, item.tags, item.weight) == ("2 + 3 =", ["5"], ["maths", "easy"], 2.0)
    again = client.post(url("item_add", golden.pk), FIELDS)
    assert again.status_code == 422 and "holds an item of this key already" in again.content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": ""}, "It asks nothing."),
        ({"validators": '[{"type": "contans"}]'}, "must be an object whose type is one of"),
        ({"validators": '[{"type": "is_json"'}, "It is not JSON: Expecting"),
        ({"validators": '[{"type": "label_is", "value": "cat"}]'}, "is for images, not for texts"),
        ({"asks": "messages", "messages": '[{"content": "x"}]'}, "list of objects with role and content"),
        ({"weight": "-1"}, "is no weight"),
        ({"tags": "x" * 61}, "A tag is too long"),
    ],
)
def test_what_does_not_fit_is_told(client: Client, golden: PredictionSet, change: dict[str, str], said: str) -> None:
    response = client.post(url("item_add", golden.pk), FIELDS | change)
    assert response.status_code == 422 and said in response.content.decode()
    assert curation.draft_of(golden) is None


def test_an_item_is_edited_in_its_row(client: Client, golden: PredictionSet) -> None:
    item = curation.begin_draft(golden).items.first()
    where = url("item", golden.pk, item.pk)
    assert b"<form" in client.get(where, headers=HTMX).content
    row = client.post(where, FIELDS | {"prompt": item.prompt, "key": item.key}, headers=HTMX).content.decode()
    assert row.strip().startswith("<tr") and "maths" in row and "<html" not in row
    assert client.get(where, {"row": ""}, headers=HTMX).content.decode().strip().startswith("<tr")


def test_and_on_a_page_of_its_own(client: Client, golden: PredictionSet) -> None:
    item = curation.begin_draft(golden).items.first()
    where = url("item", golden.pk, item.pk)
    assert "<html" in client.get(where).content.decode()
    assert client.post(where, FIELDS | {"key": item.key}).headers["Location"] == golden.get_absolute_url()


def test_line_ends_of_browsers_change_nothing(client: Client, project: Project) -> None:
    golden = make_golden_set(project, items=[make_item_record("one\r\ntwo\nthree", references=["a\nb"])], published=False)
    item = draft_items(golden)[0]
    sent = FIELDS | {"key": item.key, "prompt": "one\r\ntwo\r\nthree", "references": ["a\r\nb", ""], "tags": "", "weight": "1"}
    client.post(url("item", golden.pk, item.pk), sent)
    assert set_content.as_record(draft_items(golden)[0]) == set_content.as_record(item)


def test_a_published_item_is_not_edited(client: Client, golden: PredictionSet) -> None:
    item = golden.versions.get().items.first()
    response = client.post(url("item", golden.pk, item.pk), FIELDS, follow=True)
    assert "is published and never changes" in response.content.decode()
    item.refresh_from_db()
    assert item.prompt == "0 + 0 ="


def test_items_of_other_sets_are_not_there(client: Client, golden: PredictionSet) -> None:
    other = make_golden_set(golden.project, "other", published=False)
    assert client.get(url("item", golden.pk, draft_items(other)[0].pk)).status_code == 404


def test_selected_items_are_removed(client: Client, golden: PredictionSet) -> None:
    keys = list(curation.begin_draft(golden).items.values_list("key", flat=True))
    client.post(url("items_remove", golden.pk), {"key": keys[:2]})
    assert [item.key for item in draft_items(golden)] == keys[2:]


def test_rules_hold_for_the_draft(client: Client, golden: PredictionSet) -> None:
    curation.begin_draft(golden)
    client.post(url("rules", golden.pk), {"validators": '[{"type": "is_json"}]', "pass_threshold": "0.5", "description": "New"})
    draft = curation.draft_of(golden)
    assert draft and (draft.validators, draft.pass_threshold) == ([{"type": "is_json"}], 0.5)
    assert golden.versions.get(number=1).validators == []
    assert client.post(url("rules", golden.pk), {"validators": "[1]"}).status_code == 422


# --- Versions ----------------------------------------------------------------------------------------------------------------
def test_publishing_shows_what_changes_first(client: Client, golden: PredictionSet) -> None:
    client.post(url("begin", golden.pk))
    assert "Nothing to publish" in page(client, "publish", golden.pk)
    client.post(url("item_add", golden.pk), FIELDS)
    shown = page(client, "publish", golden.pk)
    assert "Against version 1" in shown and "2 + 3 =" in shown
    response = client.post(url("publish", golden.pk), {"note": "one more"})
    assert response.headers["Location"] == golden.get_absolute_url()
    version = golden.versions.get(number=2)
    assert (version.note, version.published_by.username) == ("one more", "alice")


def test_a_difference_is_a_page(client: Client, golden: PredictionSet) -> None:
    item = curation.begin_draft(golden).items.first()
    client.post(url("item", golden.pk, item.pk), FIELDS | {"prompt": item.prompt, "key": item.key})
    shown = page(client, "diff", golden.pk)
    assert "1</b> changed" in shown and "References" in shown and "<ins>5</ins>" in shown
    assert "Choose two versions" in page(client, "diff", golden.pk, **{"from": "1", "to": "1"})
    assert client.get(url("diff", golden.pk), {"from": "9"}).status_code == 404


def test_a_draft_is_given_up(client: Client, golden: PredictionSet) -> None:
    curation.begin_draft(golden)
    client.post(url("discard", golden.pk))
    assert curation.draft_of(golden) is None
    assert "has no draft" in client.post(url("discard", golden.pk), follow=True).content.decode()


def test_a_used_set_is_not_deleted_and_says_why(client: Client, project: Project, golden: PredictionSet) -> None:
    panel = {"source": "set", "prediction_set": "golden@1"}
    make_training_job(project, "nightly", name="Nightly", config={"predictions": panel})
    assert "is what Nightly will ask" in client.post(url("delete", golden.pk), follow=True).content.decode()
    assert PredictionSet.objects.exists()


def test_an_unused_set_is_deleted(client: Client, golden: PredictionSet) -> None:
    client.post(url("delete", golden.pk))
    assert not PredictionSet.objects.exists()


# --- Files -------------------------------------------------------------------------------------------------------------------
def sent(text: str, name: str = "items.jsonl", **fields: str) -> dict[str, Any]:
    return {"file": ContentFile(text.encode(), name), **fields}


@pytest.mark.usefixtures("media_in_tmp")
def test_a_file_is_looked_at_then_stored(client: Client, golden: PredictionSet) -> None:
    known = json.dumps({"prompt": "0 + 0 =", "references": ["0"]})
    shown = client.post(url("import", golden.pk), sent(f'{known}\n{{"prompt": "new?", "topic": "x"}}'))
    text = " ".join(shown.content.decode().split())
    assert "1</b> new to the set" in text and "1</b> would change" in text and "Kept as metadata: topic." in text
    assert curation.draft_of(golden) is None
    upload = Upload.objects.get()
    client.post(url("import", golden.pk), {"upload": upload.pk, "store": "1", "mode": "add"})
    assert [item.prompt for item in draft_items(golden)][-1] == "new?" and len(draft_items(golden)) == 4
    assert not Upload.objects.exists() and not upload.path.exists()


@pytest.mark.usefixtures("media_in_tmp")
def test_a_bad_file_is_refused_row_by_row(client: Client, golden: PredictionSet) -> None:
    response = client.post(url("import", golden.pk), sent('{"prompt": "fine"}\n{"prompt": "p", "weight": -1}'))
    text = " ".join(response.content.decode().split())
    assert response.status_code == 422 and "<code>weight</code>" in text and "-1 is no weight." in text
    assert curation.draft_of(golden) is None


@pytest.mark.usefixtures("media_in_tmp")
def test_what_has_no_counterpart_may_be_left_out_of_the_kept_file(client: Client, golden: PredictionSet) -> None:
    yaml = "- vars: {prompt: p}\n  assert: [{type: javascript, value: x}]\n"
    assert client.post(url("import", golden.pk), sent(yaml, "tests.yaml")).status_code == 422
    shown = client.post(url("import", golden.pk), {"upload": Upload.objects.get().pk, "skip_unknown": "on"})
    assert "1 javascript" in shown.content.decode() and 'name="skip_unknown" value="on"' in shown.content.decode()


def test_without_a_file_there_is_nothing_to_look_at(client: Client, golden: PredictionSet) -> None:
    assert client.post(url("import", golden.pk), {"x": "y"}).status_code == 422


def test_a_version_is_exported(client: Client, golden: PredictionSet) -> None:
    response = client.get(url("export", golden.pk), {"file_format": "csv", "version": "1"})
    assert response.headers["Content-Disposition"] == 'attachment; filename="golden-1.csv"'
    assert response.content.decode().startswith("key,prompt,")


@pytest.mark.usefixtures("media_in_tmp")
def test_leaks_are_shown(client: Client, golden: PredictionSet) -> None:
    data = {"version": "1", "file": ContentFile(b'{"prompt": "0 + 0 ="}\n', "train.jsonl")}
    text = " ".join(client.post(url("leakage", golden.pk), data).content.decode().split())
    assert "stand in this training data" in text and "Prompt, word for word" in text
    data = {"version": "1", "file": ContentFile(b"{", "train.jsonl")}
    assert client.post(url("leakage", golden.pk), data).status_code == 422


# --- From other pages --------------------------------------------------------------------------------------------------------
def test_answers_are_collected(client: Client, project: Project, golden: PredictionSet) -> None:
    job = make_training_job(project, "nightly")
    make_firing(job)
    answers = list(TextPrediction.objects.order_by("pk"))
    table = client.get(reverse("training:job", args=[job.pk])).content.decode()
    assert f'name="answer" value="{answers[0].pk}"' in table and "Add to golden set" in table
    where = {"set": golden.pk, "answer": [row.pk for row in answers[:2]], "next": f"/training/{job.pk}/"}
    response = client.post(url("collect", project.slug), where)
    assert response.headers["Location"] == f"/training/{job.pk}/"
    added = draft_items(golden)[-2:]
    assert [(item.prompt, item.references) for item in added] == [("question 0", ["right"]), ("question 1", ["right"])]
    said = client.post(
        url("collect", project.slug), where | {"answer": [row.pk for row in answers]}, follow=True
    ).content.decode()
    assert "Draft of golden: 1 added, 2 there already." in said


def test_into_a_new_set_too(client: Client, project: Project) -> None:
    job = make_training_job(project, "nightly")
    make_firing(job)
    client.post(url("collect", project.slug), {"new_set": "hard ones", "answer": TextPrediction.objects.first().pk})
    made = PredictionSet.objects.get(name="hard ones")
    assert made.is_curated and len(draft_items(made)) == 1
    item_page = client.get(reverse("training:item", args=[job.pk, draft_items(made)[0].key])).content.decode()
    assert url("options", project.slug) in item_page and 'name="answer"' in item_page
    assert "hard ones</option>" in client.get(url("options", project.slug)).content.decode()


def test_images_are_collected(client: Client, project: Project, golden: PredictionSet) -> None:
    dataset = make_dataset(project, name="birds", sample_count=2)
    samples = [make_sample(dataset, file_name=f"{number}.jpg") for number in range(2)]
    assert "data-select" in client.get(reverse("predictions:images", args=[dataset.pk])).content.decode()
    assert "Add to golden set" in client.get(reverse("predictions:sample", args=[dataset.pk, samples[0].pk])).content.decode()
    client.post(url("collect", project.slug), {"set": golden.pk, "sample": [sample.pk for sample in samples]})
    assert [item.sample for item in draft_items(golden)[-2:]] == samples
    assert "0.jpg" in page(client, "set", golden.pk)


def test_what_belongs_to_others_is_not_collected(client: Client, project: Project, golden: PredictionSet) -> None:
    stranger = make_project()
    make_firing(make_training_job(stranger, "theirs"))
    foreign = {"answer": TextPrediction.objects.first().pk, "sample": make_sample(make_dataset(stranger)).pk}
    said = client.post(url("collect", project.slug), {"set": golden.pk, **foreign}, follow=True).content.decode()
    assert "Nothing is selected" in said and curation.draft_of(golden) is None
    own = draft_items(make_golden_set(project, "own", published=False))[0].pk
    theirs = make_golden_set(stranger)
    assert client.post(url("collect", project.slug), {"set": theirs.pk, "item": own}).status_code == 404


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(client: Client, golden: PredictionSet, there: str) -> None:
    item = draft_items(make_golden_set(golden.project, "own", published=False))[0]
    response = client.post(url("collect", golden.project.slug), {"set": golden.pk, "item": item.pk, "next": there})
    assert response.headers["Location"] == golden.get_absolute_url()


# --- Jobs that ask it --------------------------------------------------------------------------------------------------------
def test_the_job_form_offers_versions_and_the_latest(client: Client, golden: PredictionSet) -> None:
    shown = client.get(reverse("training:new", args=[golden.project.slug])).content.decode()
    assert 'value="golden@1"' in shown and 'value="golden@latest"' in shown
    drafting.put_items(golden, [make_item_record("draft?")])
    assert "golden@2" not in client.get(reverse("training:new", args=[golden.project.slug])).content.decode()


def test_the_job_page_says_which_version_it_asks(client: Client, project: Project, golden: PredictionSet) -> None:
    job = make_training_job(project, "nightly", registered_sets={"golden": 1})
    assert "golden@1</a>" in client.get(job.get_absolute_url()).content.decode()
