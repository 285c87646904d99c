"""What became of objects, against counting them one by one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.object_changes import KINDS, changes
from tests.evaluation.metrics.cases import scenes
from tests.evaluation.metrics.test_matches import table_of


@given(case=scenes(), confidences=st.tuples(st.sampled_from([0.0, 0.3, 0.9]), st.sampled_from([0.0, 0.5])))
@settings(max_examples=60, deadline=None)
def test_objects_are_sorted_by_what_either_run_found(case, confidences) -> None:
    scene, truth, _ = case
    table = table_of(case)
    found = changes(table, table, *confidences)
    classes = len(scene.category_names)
    before, after = (table.counts(confidence, classes) for confidence in confidences)
    counts = dict(zip(KINDS, found.counts_by_category(classes).T, strict=True))
    assert (counts["broken"] + counts["both_right"]).tolist() == before.true_positives.tolist()
    assert (counts["fixed"] + counts["both_right"]).tolist() == after.true_positives.tolist()
    assert (counts["both_wrong"] + counts["fixed"]).tolist() == before.missed.tolist()
    assert sum(found.counts().values()) == int((~truth.crowds).sum())
    assert all(len(found.of(kind)) == count for kind, count in found.counts().items())
