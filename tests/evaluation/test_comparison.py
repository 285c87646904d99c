"""Two runs against each other: matching, counts, directions, tests, verdicts."""

from typing import Any

import numpy as np
import pytest

from accounts.models import Project, User
from evaluation.comparison import UnknownMetric, compare, judge, size_in_words, slices
from evaluation.pairing import Pairing, pair
from evaluation.scores import METRICS, metric_of
from predictions.models import (
    ImageOutcome,
    PredictionRun,
    PredictionSet,
    PredictionSetItem,
    PredictionSetVersion,
    TextPrediction,
)
from tests.factories import (
    make_annotation,
    make_answer,
    make_category,
    make_dataset,
    make_firing,
    make_predicted_object,
    make_project,
    make_run,
    make_sample,
    make_training_job,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


def answered(job: Any, epoch: float, answers: Any = None) -> PredictionRun:
    make_firing(job, epoch, answers)
    return PredictionRun.objects.get(job=job, epoch=epoch)


def make_runs(project: Project, before: list[Any], after: list[Any], **fields: Any) -> tuple[PredictionRun, PredictionRun]:
    """Two firings of one job with these predictions, in which "right" is right."""
    job = make_training_job(project)
    runs = [
        answered(job, epoch, [make_answer(n, said, **fields) for n, said in enumerate(predictions)])
        for epoch, predictions in enumerate((before, after), 1)
    ]
    return runs[0], runs[1]


# --- Texts ---------------------------------------------------------------------------------------------------------------------
def test_the_issue_s_sentence(project: Project) -> None:
    before = ["wrong"] * 12 + ["right"] * 9 + ["wrong"] * 40 + ["right"] * 39
    after = ["right"] * 12 + ["wrong"] * 9 + ["wrong"] * 40 + ["right"] * 39
    found = compare(*make_runs(project, before, after), "exact_match")
    assert (
        found.verdict
        == "12 better, 9 worse, 79 the same: not decisive (p = 0.66); this set can detect differences of 13 points"
    )
    assert (found.test, found.matched, found.baseline_mean, found.candidate_mean) == ("exact McNemar", 100, 0.48, 0.51)
    assert found.difference == pytest.approx(0.03) and found.interval[0] < 0.03 < found.interval[1]  # type: ignore[index]


def test_a_decisive_one_says_which(project: Project) -> None:
    found = compare(*make_runs(project, ["wrong"] * 20, ["right"] * 12 + ["wrong"] * 8), "exact_match")
    assert found.verdict == "12 better, 0 worse, 8 the same: the candidate is better (p < 0.001, exact McNemar)"
    assert found.decision == "better"


def test_error_rates_fall_when_they_get_better(project: Project) -> None:
    found = compare(*make_runs(project, ["rigxx"] * 12, ["right"] * 12), "char_error_rate")
    assert (found.improved, found.regressed, found.decision, found.test) == (12, 0, "better", "paired bootstrap")
    assert found.difference == pytest.approx(-0.4) and found.interval == pytest.approx((-0.4, -0.4))


@pytest.mark.parametrize(
    ("before", "after", "improved"), [("r", "righ", 1), ("rightright", "righ", 1), ("righ", "rightright", 0)]
)
def test_the_length_ratio_aims_at_one(project: Project, before: str, after: str, improved: int) -> None:
    found = compare(*make_runs(project, [before], [after]), "length_ratio")
    assert (found.improved, found.regressed) == (improved, 1 - improved)


def test_items_are_matched_by_key_over_jobs(project: Project) -> None:
    one, other = make_training_job(project), make_training_job(project)
    first = answered(one, 1, [make_answer(0), make_answer(1), make_answer(2)])
    second = answered(other, 3, [make_answer(2), make_answer(1, "no"), make_answer(7)])
    found = compare(first, second)
    assert (found.matched, found.only_baseline, found.only_candidate) == (2, 1, 1)
    assert (found.improved, found.regressed, found.unchanged) == (0, 1, 1)


def test_runs_that_share_nothing_say_so(project: Project) -> None:
    one, other = make_training_job(project), make_training_job(project)
    first, second = answered(one, 1, [make_answer(0)]), answered(other, 1, [make_answer(5)])
    found = compare(first, second)
    assert found.verdict == "The two runs share no items: there is nothing to compare."
    assert (found.matched, found.p_value, found.interval, found.test) == (0, None, None, "none")


def test_items_without_reference_are_not_scored(project: Project) -> None:
    found = compare(*make_runs(project, ["a", "b"], ["a", "b"], ground_truth=None))
    assert (found.matched, found.scored) == (2, 0) and "None of the 2 shared items" in found.verdict


def test_all_the_same(project: Project) -> None:
    found = compare(*make_runs(project, ["right"] * 30, ["right"] * 30))
    assert found.verdict.startswith("0 better, 0 worse, 30 the same: no difference at all") and found.p_value == 1.0


def test_one_item_decides_nothing(project: Project) -> None:
    found = compare(*make_runs(project, ["rig"], ["right"]), "chrf")
    assert found.verdict == "1 better, 0 worse, 0 the same: one item alone decides nothing."


def test_a_trainer_s_own_scores(project: Project) -> None:
    job = make_training_job(project)
    runs = [answered(job, epoch, [make_answer(n, scores={"reward": epoch}) for n in range(9)]) for epoch in (1, 2)]
    found = compare(*runs, "custom:reward")
    assert (found.improved, found.baseline_mean, found.candidate_mean) == (9, 1.0, 2.0)


def test_an_unknown_metric_lists_the_known(project: Project) -> None:
    with pytest.raises(UnknownMetric, match=r"no metric 'accuracy'.*passed, exact_match"):
        compare(*make_runs(project, ["a"], ["b"]), "accuracy")


def test_heavy_items_weigh_in_the_pass_rate_alone(project: Project) -> None:
    before, after = make_runs(project, ["a"] * 4, ["a"] * 4)
    TextPrediction.objects.filter(run=before).update(passed=False)
    TextPrediction.objects.filter(run=after).update(passed=False)
    TextPrediction.objects.filter(run=after, sample_index=0).update(passed=True)
    assert compare(before, after, "passed").test == "exact McNemar"
    PredictionSetItem.objects.filter(sample_index=0).update(weight=7)
    found = compare(before, after, "passed")
    assert found.test == "paired bootstrap" and found.difference == pytest.approx(0.7)
    assert compare(before, after, "exact_match").test == "exact McNemar"


def test_several_metrics_are_adjusted(project: Project) -> None:
    pairing = pair(*make_runs(project, ["wrong"] * 10, ["right"] * 6 + ["wrong"] * 4))
    judged = judge(pairing, pairing.metrics)
    assert len(judged) == 7 and all(one.p_adjusted >= one.p_value for one in judged)  # type: ignore[operator]
    alone = judge(pairing, [METRICS["chrf"]])[0]
    assert alone.p_adjusted is None and alone.p_value == next(one for one in judged if one.metric.name == "chrf").p_value


def test_tags_are_slices_worst_first(project: Project) -> None:
    before, after = make_runs(project, ["right"] * 6 + ["wrong"] * 6, ["wrong"] * 6 + ["right"] * 6)
    PredictionSetItem.objects.filter(sample_index__lt=6).update(tags=["short", "all"])
    PredictionSetItem.objects.filter(sample_index__gte=6).update(tags=["long", "all"])
    found = slices(pair(before, after), METRICS["exact_match"])
    assert [(one.tag, one.difference) for one in found] == [("short", -1.0), ("all", 0.0), ("long", 1.0)]
    assert compare(before, after, tag="short").regressed == 6
    assert compare(before, after, tag="unheard of").verdict == "No shared item has this tag."


@pytest.mark.parametrize(
    ("size", "said"), [(0.07, "7 points"), (0.0701, "8 points"), (0.01, "1 point"), (0.0042, "0.5 points")]
)
def test_what_can_be_detected_is_rounded_up(size: float, said: str) -> None:
    assert size_in_words(size, METRICS["exact_match"]) == said


def test_a_pairing_is_kept_and_read_back(project: Project) -> None:
    before, after = make_runs(project, ["right", "a", "b"], ["a", "right"])
    PredictionSetItem.objects.filter(sample_index=0).update(tags=["é\nx"])
    pairing = pair(before, after)
    again = Pairing.from_bytes(pairing.to_bytes())
    assert judge(again, again.metrics) == judge(pairing, pairing.metrics)
    assert again.keys == pairing.keys and again.only_baseline == pairing.only_baseline and list(again.tags) == ["é\nx"]


def test_reading_asks_the_same_for_few_and_many(project: Project, django_assert_num_queries: Any) -> None:
    few, many = make_runs(project, ["a"] * 3, ["b"] * 3), make_runs(project, ["a"] * 60, ["b"] * 60)
    for runs in (few, many):
        with django_assert_num_queries(4):
            pair(*runs)


# --- Images --------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def figures(project: Project) -> dict[str, Any]:
    """Two images with a cat each; one run finds both, the other finds one and invents one."""
    dataset = make_dataset(project)
    cat = make_category(dataset)
    samples = [make_sample(dataset) for _ in range(3)]
    for sample in samples[:2]:
        make_annotation(sample, cat)
    good, bad = make_run(dataset, "good"), make_run(dataset, "bad")
    for sample in samples[:2]:
        make_predicted_object(good, sample, cat)
    make_predicted_object(bad, samples[0], cat)
    make_predicted_object(bad, samples[2], cat)
    return {"dataset": dataset, "samples": samples, "good": good, "bad": bad, "cat": cat}


def test_images_of_one_dataset_are_matched_by_sample(figures: dict[str, Any]) -> None:
    found = compare(figures["bad"], figures["good"], "f1")
    assert (found.matched, found.improved, found.regressed, found.unchanged) == (3, 2, 0, 1)
    assert (found.baseline_mean, found.candidate_mean) == (pytest.approx(1 / 3), 1.0)


def test_predictions_below_the_confidence_are_not_counted(figures: dict[str, Any]) -> None:
    found = compare(figures["bad"], figures["good"], "f1", confidence=0.6)
    assert found.baseline_mean == found.candidate_mean == pytest.approx(1 / 3)


def test_images_of_another_split_are_of_one_side_alone(figures: dict[str, Any]) -> None:
    dataset, other = figures["dataset"], make_sample(figures["dataset"], split="train")
    val = figures["samples"][0].split
    PredictionRun.objects.filter(pk=figures["good"].pk).update(split=val)
    figures["good"].refresh_from_db()
    found = compare(figures["bad"], figures["good"], "f1")
    assert (found.matched, found.only_baseline, found.only_candidate) == (3, 1, 0) and other.dataset == dataset


def test_other_datasets_and_texts_share_nothing(figures: dict[str, Any], project: Project) -> None:
    elsewhere = make_run(make_dataset(project), "elsewhere")
    assert compare(figures["good"], elsewhere, "f1").matched == 0
    assert "different datasets" in compare(figures["good"], elsewhere, "f1").differences[0]
    text = answered(make_training_job(project), 1)
    found = compare(text, figures["good"])
    assert found.matched == 0 and "texts, the other images" in found.differences[0]


def test_classes_are_right_by_their_top_label(project: Project) -> None:
    dataset = make_dataset(project, task_type="classification")
    cat, dog = make_category(dataset, "cat"), make_category(dataset, "dog")
    sample, silent = make_sample(dataset), make_sample(dataset)
    for each in (sample, silent):
        make_annotation(each, cat, x=None, y=None, width=None, height=None, area=None, area_rule="")
    runs = [make_run(dataset, name) for name in ("cats", "dogs")]
    for run, first in zip(runs, (cat, dog), strict=True):
        for label in (cat, dog):
            make_predicted_object(
                run, sample, label, score=0.9 if label == first else 0.4, x=None, y=None, width=None, height=None
            )
    found = compare(runs[0], runs[1], "exact_match")
    assert (found.baseline_mean, found.candidate_mean, found.regressed, found.matched) == (0.5, 0.0, 1, 2)


def test_outcomes_of_a_set_are_compared_over_its_images(figures: dict[str, Any], project: Project) -> None:
    version = PredictionSetVersion.objects.create(
        prediction_set=PredictionSet.objects.create(project=project, name="gold"), number=1
    )
    items = [
        PredictionSetItem.objects.create(
            version=version, key=f"k{n}", sample_index=n, sample=sample, tags=["edge"] if n else []
        )
        for n, sample in enumerate(figures["samples"][:2])
    ]
    for run, passed in ((figures["bad"], [True, False]), (figures["good"], [True, True])):
        for item, outcome in zip(items, passed, strict=True):
            ImageOutcome.objects.create(run=run, item=item, passed=outcome)
    found = compare(figures["bad"], figures["good"], "passed", set_version=version.pk)
    assert (found.matched, found.improved, found.unchanged) == (2, 1, 1)
    assert compare(figures["bad"], figures["good"], "passed", tag="edge", set_version=version.pk).improved == 1
    assert compare(figures["bad"], figures["good"], "passed").scored == 0


def test_custom_scores_are_known_by_name() -> None:
    assert (metric_of("custom:reward").label, metric_of("custom:reward").is_share) == ("reward", False)
    assert np.isnan(Pairing(["a"], {}, {}, np.ones(1), {}, [], []).gains(METRICS["f1"])).all()
