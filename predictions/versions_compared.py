"""Which two versions of a set a page or an endpoint compares."""

from predictions import curation
from predictions.models import PredictionSet, PredictionSetVersion
from predictions.sets_access import get_version


def compared(asked: PredictionSet, before: str, after: str) -> tuple[PredictionSetVersion | None, PredictionSetVersion]:
    """By number, `draft` or `latest`. Without `after` the draft, else the latest; without `before` the published version before.

    The first is None where there is nothing earlier. Raises Http404.
    """
    new = get_version(asked, after or ("draft" if curation.draft_of(asked) else "latest"))
    if before:
        return get_version(asked, before), new
    old = asked.versions.published().filter(number__lt=new.number).order_by("-number").first()
    if old is not None:
        old.prediction_set = asked
    return old, new
