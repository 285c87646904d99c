"""Published versions of sets: the database itself refuses to change them."""

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from predictions.models import PredictionSet, PredictionSetItem, PredictionSetVersion, SetKind
from tests.factories import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def item(user: User) -> PredictionSetItem:
    """An item of a draft."""
    golden = PredictionSet.objects.create(project=make_project(user), name="golden", kind=SetKind.CURATED)
    return golden.versions.create(number=1).items.create(key="a", sample_index=0, prompt="2 + 2 =", references=["4"])


def publish(item: PredictionSetItem) -> None:
    PredictionSetVersion.objects.filter(pk=item.version_id).update(content_hash="f" * 64, item_count=1)


def test_an_item_of_a_draft_can_be_changed(item: PredictionSetItem) -> None:
    PredictionSetItem.objects.filter(pk=item.pk).update(references=["four"])
    assert PredictionSetItem.objects.get().references == ["four"]


@pytest.mark.parametrize(
    "change", [{"references": ["5"]}, {"prompt": "?"}, {"weight": 2}, {"validators": [{"type": "is_json"}]}]
)
def test_an_item_of_a_published_version_cannot(item: PredictionSetItem, change: dict[str, object]) -> None:
    publish(item)
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        PredictionSetItem.objects.filter(pk=item.pk).update(**change)


@pytest.mark.parametrize("change", [{"content_hash": ""}, {"pass_threshold": 0.5}, {"validators": [{"type": "is_json"}]}])
def test_nor_can_the_version(item: PredictionSetItem, change: dict[str, object]) -> None:
    publish(item)
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        PredictionSetVersion.objects.filter(pk=item.version_id).update(**change)


def test_a_published_set_can_be_deleted_as_a_whole(item: PredictionSetItem) -> None:
    publish(item)
    PredictionSet.objects.all().delete()
    assert not PredictionSetItem.objects.exists()


def test_a_set_has_one_draft(item: PredictionSetItem) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        item.version.prediction_set.versions.create(number=2)
