"""Drafts, publishing, differences: what is kept, what is refused, and in which words."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, connections
from django.db.utils import IntegrityError

from accounts.models import Project
from predictions import curation, draft_items, set_content
from predictions.curation import SetConflict
from predictions.draft_items import Changed
from predictions.models import PredictionSet, PredictionSetItem
from predictions.prediction_sets import SetRefused, find_version, register_sampled
from predictions.set_files import SetFileRefused
from predictions.set_files.base import SetContent, made_item
from tests.factories import (
    make_dataset,
    make_firing,
    make_golden_set,
    make_item_record,
    make_project,
    make_sample,
    make_training_job,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def golden(project: Project) -> PredictionSet:
    return make_golden_set(project)


def prompts(asked: PredictionSet, number: int | None = None) -> list[str | None]:
    version = curation.draft_of(asked) if number is None else asked.versions.get(number=number)
    assert version is not None
    return [record.prompt for record in set_content.content_of(version).items]


def test_a_set_begins_with_an_empty_draft(project: Project) -> None:
    asked = curation.create_set(project, None, "golden")
    draft = curation.draft_of(asked)
    assert draft and (draft.number, draft.item_count) == (1, 0) and curation.latest_of(asked) is None


@pytest.mark.parametrize("name", ["", "a@b", "x" * 120, "a\nb"])
def test_a_name_that_jobs_could_not_say_is_refused(project: Project, name: str) -> None:
    with pytest.raises(SetRefused, match="cannot name a set"):
        curation.create_set(project, None, name)


def test_a_name_in_use_is_refused(project: Project, golden: PredictionSet) -> None:
    with pytest.raises(SetConflict, match="already"):
        curation.create_set(project, None, "golden")


def test_a_draft_is_a_copy_of_the_latest_version(golden: PredictionSet) -> None:
    draft_items.put_items(golden, [make_item_record("new?", tags=["hard"], weight=2)])
    assert prompts(golden) == [*prompts(golden, 1), "new?"] and len(prompts(golden, 1)) == 3
    assert curation.begin_draft(golden) == curation.draft_of(golden)


def test_publishing_freezes_under_a_hash(golden: PredictionSet) -> None:
    draft_items.put_items(golden, [make_item_record("new?")])
    version = curation.publish(golden, None, " harder ")
    assert (version.number, version.item_count, version.note, len(version.content_hash)) == (2, 4, "harder", 64)
    assert version.published_at and curation.draft_of(golden) is None
    with pytest.raises(IntegrityError):
        version.items.update(prompt="other")


def test_the_hash_is_of_what_changes_outcomes_whatever_the_order(project: Project) -> None:
    one, two = make_item_record("a"), make_item_record("b")
    content = SetContent([one, two])
    digest = set_content.content_hash(content)
    assert digest == set_content.content_hash(SetContent([two, one]))
    assert digest == set_content.content_hash(SetContent([replace(one, notes="see me"), two]))
    others = [
        SetContent([replace(one, **{name: value}), two])
        for name, value in {
            "prompt": "c", "references": ["5"], "validators": [{"type": "is_json"}], "tags": ["x"], "weight": 2.0, "key": "k",
        }.items()
    ]  # fmt: skip
    others += [SetContent([one, two], [{"type": "is_json"}]), SetContent([one, two], [], 0.5), SetContent([one])]
    assert len({digest, *(set_content.content_hash(other) for other in others)}) == len(others) + 1


def test_an_empty_draft_is_not_published(project: Project) -> None:
    with pytest.raises(SetRefused, match="no items"):
        curation.publish(curation.create_set(project, None, "golden"), None)


def test_nor_is_one_that_changes_nothing(golden: PredictionSet) -> None:
    curation.begin_draft(golden)
    with pytest.raises(SetConflict, match="exactly what version 1"):
        curation.publish(golden, None)


def test_nor_is_one_with_bad_validators(golden: PredictionSet) -> None:
    draft_items.put_items(golden, [make_item_record("new?")])
    PredictionSetItem.objects.filter(version=curation.draft_of(golden), prompt="new?").update(validators=[{"type": "gone"}])
    with pytest.raises(SetRefused, match="must be an object whose type"):
        curation.publish(golden, None)


def test_without_a_draft_there_is_nothing_to_change(golden: PredictionSet) -> None:
    for change in (
        lambda: curation.publish(golden, None),
        lambda: curation.discard_draft(golden),
        lambda: draft_items.remove_items(golden, ["a"]),
        lambda: curation.set_rules(golden, [], None),
    ):
        with pytest.raises(SetConflict, match="no draft"):
            change()


def test_a_discarded_draft_leaves_the_versions(golden: PredictionSet) -> None:
    draft_items.put_items(golden, [make_item_record("new?")])
    assert curation.discard_draft(golden) == 4
    assert golden.versions.count() == 1 and curation.begin_draft(golden).number == 2


def test_a_sampled_set_is_not_edited(project: Project) -> None:
    make_firing(make_training_job(project, "job"))
    with pytest.raises(SetRefused, match="drawn from training data"):
        curation.begin_draft(PredictionSet.objects.get())


def test_adding_tells_what_was_there_already(golden: PredictionSet) -> None:
    known = set_content.content_of(golden.versions.get()).items[0]
    assert draft_items.put_items(golden, [known, make_item_record("new?")]) == Changed(added=1, same=1)
    changed = replace(known, references=["other"])
    assert draft_items.put_items(golden, [changed], updates=False) == Changed(same=1)
    assert draft_items.put_items(golden, [changed]) == Changed(updated=1)
    draft = curation.draft_of(golden)
    assert draft and draft.item_count == 4


def test_a_key_made_from_the_question_follows_it(golden: PredictionSet) -> None:
    record = make_item_record("old?")
    draft_items.put_items(golden, [record, made_item(row=0, key="mine", prompt="given?")])
    moved = draft_items.edit_item(golden, record.key, replace(record, prompt="new?"))
    assert moved.key == make_item_record("new?").key != record.key
    kept = draft_items.edit_item(golden, "mine", made_item(row=0, key="mine", prompt="other?"))
    assert (kept.key, kept.prompt) == ("mine", "other?")


def test_an_edit_cannot_take_another_items_key(golden: PredictionSet) -> None:
    one, two = make_item_record("one?"), make_item_record("two?")
    draft_items.put_items(golden, [one, two])
    with pytest.raises(SetConflict, match="another item"):
        draft_items.edit_item(golden, one.key, replace(one, prompt="two?"))
    with pytest.raises(SetConflict, match="any more"):
        draft_items.edit_item(golden, "gone", one)


def test_an_import_may_replace_the_draft(golden: PredictionSet) -> None:
    kept = set_content.content_of(golden.versions.get()).items[1]
    content = SetContent([make_item_record("new?"), kept], [{"type": "is_json"}], 0.5)
    assert draft_items.import_content(golden, content, replaces=True) == Changed(added=1, removed=2, same=1)
    draft = curation.draft_of(golden)
    assert draft and set_content.content_of(draft) == content


def test_a_set_that_was_answered_cannot_be_deleted(project: Project, golden: PredictionSet) -> None:
    job = make_training_job(project, "job")
    answers = [{"sample_index": 0, "item_key": golden.versions.get().items.first().key, "prediction": "4"}]
    make_firing(job, 1, answers, prediction_set="golden@1")
    with pytest.raises(SetConflict, match="1 runs of 1 training jobs"):
        curation.delete_set(golden)


def test_nor_one_that_a_panel_names(project: Project, golden: PredictionSet) -> None:
    panel = {"source": "set", "prediction_set": "golden@latest"}
    make_training_job(project, "job", name="Nightly", config={"predictions": panel})
    with pytest.raises(SetConflict, match="what Nightly will ask"):
        curation.delete_set(golden)


def test_a_set_that_nobody_uses_goes_as_a_whole(golden: PredictionSet) -> None:
    assert curation.delete_set(golden) == 3
    assert not PredictionSet.objects.exists() and not PredictionSetItem.objects.exists()


def test_what_was_drawn_does_not_become_a_version_of_it(project: Project, golden: PredictionSet) -> None:
    with pytest.raises(SetRefused, match="curated"):
        register_sampled(make_training_job(project, "job"), None, "golden", [])


def test_a_difference_names_items_and_fields(golden: PredictionSet) -> None:
    first, second, _ = set_content.content_of(golden.versions.get()).items
    draft_items.put_items(golden, [make_item_record("new?"), replace(first, references=["x"], tags=["hard"])])
    draft_items.remove_items(golden, [second.key])
    curation.set_rules(golden, [{"type": "is_json"}], None)
    version = curation.publish(golden, None)
    found = set_content.diff(golden.versions.get(number=1), version)
    assert [record.prompt for record in found.added] == ["new?"] and [record.key for record in found.removed] == [second.key]
    assert [(change.new.key, change.fields) for change in found.changed] == [(first.key, ["references", "tags"])]
    assert (found.unchanged, found.rules, found.is_empty) == (1, ["validators"], False)


def test_latest_is_the_latest_published_one(project: Project, golden: PredictionSet) -> None:
    draft_items.put_items(golden, [make_item_record("new?")])
    assert find_version(project, "golden@latest").number == 1
    with pytest.raises(SetRefused, match="golden@2"):
        find_version(project, "golden@2")
    curation.publish(golden, None)
    assert find_version(project, "golden@latest").number == 2


# --- Images ------------------------------------------------------------------------------------------------------------------
def test_an_image_is_an_item_by_where_it_stands(project: Project, golden: PredictionSet) -> None:
    sample = make_sample(make_dataset(project, name="birds"), file_name="a.jpg")
    record = draft_items.records_of_images([sample])[0]
    assert draft_items.put_items(golden, [record]).added == 1
    item = curation.draft_of(golden).items.get(sample=sample)
    assert (
        set_content.as_record(item) == record
        and record.key != draft_items.records_of_images([make_sample(sample.dataset)])[0].key
    )


def test_an_item_outlives_its_image(project: Project, golden: PredictionSet) -> None:
    sample = make_sample(make_dataset(project, name="birds"), file_name="a.jpg")
    draft_items.put_items(golden, draft_items.records_of_images([sample]))
    version = curation.publish(golden, None)
    digest = version.content_hash
    sample.delete()
    assert set_content.content_hash(set_content.content_of(version)) == digest
    assert curation.begin_draft(golden).item_count == 4


def test_an_image_that_is_not_here_is_refused_with_its_row(golden: PredictionSet) -> None:
    place = {"dataset": "birds", "split": "val", "file_name": "a.jpg"}
    with pytest.raises(SetFileRefused, match=r"row 7, image: This project has no image 'a.jpg' in birds/val"):
        draft_items.put_items(golden, [made_item(row=7, image=place)])
    assert curation.draft_of(golden) is None


# --- Two at once -------------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_two_publishers_make_one_version() -> None:
    golden = make_golden_set()
    draft_items.put_items(golden, [make_item_record("new?")])
    said: list[Any] = []
    barrier = threading.Barrier(4)

    def publish() -> None:
        barrier.wait()
        try:
            said.append(curation.publish(golden, None).number)
        except SetRefused as refusal:
            said.append(type(refusal))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said, key=str) == sorted([2, SetConflict, SetConflict, SetConflict], key=str)
    assert golden.versions.count() == 2
    assert connection.vendor == "postgresql"
