"""The pages of comparisons."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Project, User
from datasets.models import JobStatus
from datasets.recovery import BELLS
from evaluation import jobs, large
from evaluation.models import Comparison
from evaluation.tasks import run_comparison
from predictions.models import PredictionRun, PredictionSetItem, TextPrediction, TrainingJob
from predictions.training import delete_job
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
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(user: User) -> Project:
    return make_project(user, name="texts")


@pytest.fixture
def job(project: Project) -> TrainingJob:
    return make_training_job(project, "nightly")


@pytest.fixture
def client(user: User, client_of: Any) -> Client:
    return client_of(user)


@pytest.fixture
def runs(job: TrainingJob) -> list[PredictionRun]:
    """Item 0 gets better, 1 worse, 2 stays; 3 and 4 are asked by one side alone."""
    make_firing(job, 1, [make_answer(n, said) for n, said in enumerate(["wrong", "right", "right", "x"])])
    make_firing(job, 2, [make_answer(n, said) for n, said in [(0, "right"), (1, "rong"), (2, "right"), (4, "x")]])
    return list(PredictionRun.objects.order_by("epoch"))


def url(project: Project, **query: Any) -> str:
    return reverse("compare:compare", args=[project.slug], query=query)


def text(response: Any) -> str:
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def two(project: Project, runs: list[PredictionRun], **query: Any) -> str:
    return url(project, baseline=runs[0].pk, candidate=runs[1].pk, **query)


# --- Choosing ------------------------------------------------------------------------------------------------------------------
def test_first_a_baseline_then_a_candidate(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    page = text(client.get(url(project)))
    assert "Choose a baseline" in page and f"?baseline={runs[0].pk}" in page
    page = text(client.get(url(project, baseline=runs[0].pk)))
    assert "Choose a candidate" in page and f"?baseline={runs[0].pk}&amp;candidate={runs[1].pk}" in page
    assert "same questions" in page


@pytest.mark.parametrize(("words", "found"), [("nightly", 2), ("nightly 2", 1), ("yearly", 0), ("2", 1)])
def test_runs_are_found_by_their_words(
    client: Client, project: Project, runs: list[PredictionRun], words: str, found: int
) -> None:
    answer = client.get(reverse("compare:picker", args=[project.slug]), {"q": words}, headers={"HX-Request": "true"})
    assert len(answer.context["found"]) == found


def test_an_empty_project_says_so(client: Client, project: Project) -> None:
    assert "Nothing to compare yet" in text(client.get(url(project)))


def test_swapping_turns_both_round(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    answer = client.get(two(project, runs, metric="chrf"))
    assert answer.context["swap"] == f"baseline={runs[1].pk}&candidate={runs[0].pk}&metric=chrf"


def test_runs_of_strangers_do_not_exist(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    elsewhere = make_training_job(make_project(make_user()))
    make_firing(elsewhere, 1)
    hidden = PredictionRun.objects.get(job=elsewhere)
    assert client.get(url(project, baseline=runs[0].pk, candidate=hidden.pk)).status_code == 404
    assert client.get(url(project, baseline=hidden.pk)).status_code == 404
    assert client.get(reverse("compare:matrix", args=[project.slug]), {"run": hidden.pk}).status_code == 404
    assert client.get(reverse("compare:matrix", args=[project.slug]), {"job": elsewhere.pk}).status_code == 404
    assert client.get(url(project, baseline=2**62)).status_code == 404


def test_runs_of_another_project_of_mine_are_compared(
    client: Client, user: User, project: Project, runs: list[PredictionRun]
) -> None:
    other = make_training_job(make_project(user, name="other"))
    make_firing(other, 1, [make_answer(0)])
    answer = client.get(url(project, baseline=runs[0].pk, candidate=PredictionRun.objects.get(job=other).pk))
    assert answer.context["judgement"].matched == 1


# --- What was found ------------------------------------------------------------------------------------------------------------
def test_words_come_before_numbers(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    PredictionRun.objects.filter(pk=runs[1].pk).update(score_version="0")
    page = text(client.get(two(project, runs)))
    assert page.index("Not like with like") < page.index("1 better, 1 worse, 1 the same") < page.index("<h2>Metrics</h2>")


def test_counts_filter_the_list(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    def listed(**query: Any) -> list[int]:
        return [row.new.sample_index for row in client.get(two(project, runs, **query)).context["rows"]]

    assert listed() == [1, 0]  # regressions first
    assert (listed(show="regressed"), listed(show="improved"), listed(show="unchanged")) == ([1], [0], [2])
    assert listed(show="all") == [1, 2, 0] and listed(show="nonsense") == [1, 0]


def test_items_of_one_side_alone_are_listed(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    alone = client.get(two(project, runs, show="only_baseline")).context["alone"]
    assert [each.place for each in alone] == [3]
    assert [each.place for each in client.get(two(project, runs, show="only_candidate")).context["alone"]] == [4]


def test_an_answer_is_shown_with_what_changed(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    page = text(client.get(two(project, runs, show="regressed")))
    assert "<del>right</del><ins>rong</ins>" in page
    key = PredictionSetItem.objects.get(sample_index=1).key
    assert f"{reverse('training:item', args=[runs[1].job_id, key])}?run={runs[1].pk}" in page


def test_tags_are_slices(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    PredictionSetItem.objects.filter(sample_index__in=[1, 2]).update(tags=["hard"])
    answer = client.get(two(project, runs))
    assert [(one.tag, one.regressed, one.matched) for one in answer.context["slices"]] == [("hard", 1, 2)]
    answer = client.get(two(project, runs, tag="hard"))
    assert answer.context["judgement"].matched == 2 and len(answer.context["rows"]) == 1
    assert client.get(two(project, runs, tag="unheard of")).context["judgement"].matched == 3


def test_metrics_that_do_not_fit_are_left_out(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    assert client.get(two(project, runs, metric="f1")).context["metric"].name == "exact_match"
    assert client.get(two(project, runs, metric="passed")).context["judgement"].scored == 0


def test_further_candidates_are_told_in_a_line(
    client: Client, project: Project, job: TrainingJob, runs: list[PredictionRun]
) -> None:
    make_firing(job, 3, [make_answer(0)])
    third = PredictionRun.objects.get(epoch=3)
    answer = client.get(f"{two(project, runs)}&candidate={third.pk}")
    [other] = answer.context["others"]
    assert other["judgement"].matched == 1 and other["query"].endswith(f"candidate={third.pk}&candidate={runs[1].pk}")


def test_a_click_swaps_the_findings_alone(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    answer = client.get(two(project, runs, metric="chrf"), headers={"HX-Request": "true"})
    assert answer.content.decode().strip().startswith('<div id="findings">') and "HX-Request" in answer.headers["Vary"]


def test_what_is_not_comparable_is_told_without_numbers(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    images = make_run(make_dataset(project))
    page = text(client.get(url(project, baseline=runs[0].pk, candidate=images.pk)))
    assert "they share no items" in page and "<h2>Metrics</h2>" not in page


def test_it_asks_the_same_for_few_and_many(
    client: Client, project: Project, job: TrainingJob, django_assert_max_num_queries: Any
) -> None:
    for epoch, count in enumerate((5, 5, 60, 60), 1):
        make_firing(job, epoch, [make_answer(n, "right" if epoch % 2 else "wrong") for n in range(count)])
    found = list(PredictionRun.objects.order_by("epoch"))
    with django_assert_max_num_queries(18) as few:
        text(client.get(two(project, found[:2])))
    with django_assert_max_num_queries(len(few)):
        text(client.get(two(project, found[2:])))


# --- Images --------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def images(project: Project) -> list[PredictionRun]:
    """Three images with an object each; the first run finds all, the second only in the first image."""
    dataset = make_dataset(project)
    cat = make_category(dataset)
    good, bad = make_run(dataset, "good"), make_run(dataset, "bad")
    for number in range(3):
        sample = make_sample(dataset)
        make_annotation(sample, cat)
        make_predicted_object(good, sample, cat)
        if not number:
            make_predicted_object(bad, sample, cat)
    return [good, bad]


def test_images_stand_side_by_side(client: Client, project: Project, images: list[PredictionRun]) -> None:
    answer = client.get(two(project, images))
    assert answer.context["judgement"].verdict.startswith("0 better, 2 worse, 1 the same")
    rows = answer.context["rows"]
    assert [(len(row.old), len(row.new), len(row.truth)) for row in rows] == [(1, 0, 1)] * 2
    link = reverse("predictions:sample", args=[images[0].dataset_id, rows[0].key])
    assert f"{link}?run={images[0].pk}&amp;run={images[1].pk}" in text(answer)


def test_the_confidence_is_part_of_the_address(client: Client, project: Project, images: list[PredictionRun]) -> None:
    answer = client.get(two(project, images, confidence="0.9"))
    assert answer.context["judgement"].baseline_mean == 0.0 and "confidence=0.9" in answer.context["api_url"]
    assert client.get(two(project, images, confidence="7")).context["asked"]["confidence"] == 0.25


# --- The matrix, the worst, the unsteady -----------------------------------------------------------------------------------------
def test_the_matrix_has_the_disputed_first(client: Client, project: Project, job: TrainingJob) -> None:
    for epoch, answers in enumerate([["right", "no", "no"], ["right", "no", "right"]], 1):
        make_firing(job, epoch, [make_answer(n, said) for n, said in enumerate(answers)])
    answer = client.get(reverse("compare:matrix", args=[project.slug]), {"job": job.pk})
    cells = [[cell["text"] for cell in row["cells"]] for row in answer.context["rows"]]
    assert cells == [["✗", "✓"], ["✗", "✗"], ["✓", "✓"]] and answer.context["disagreeing"] == 1
    assert "/items/" in answer.context["rows"][0]["cells"][0]["url"]


def test_the_matrix_of_images_has_numbers(client: Client, project: Project, images: list[PredictionRun]) -> None:
    answer = client.get(reverse("compare:matrix", args=[project.slug]), {"run": [run.pk for run in images]})
    assert [cell["text"] for cell in answer.context["rows"][0]["cells"]] == ["1.00", "0.00"]
    assert "/samples/" in answer.context["rows"][0]["cells"][0]["url"]


def test_the_matrix_takes_twenty_runs_and_says_when_there_are_none(client: Client, project: Project, job: TrainingJob) -> None:
    for epoch in range(1, 25):
        make_firing(job, epoch, [make_answer(0)])
    address = reverse("compare:matrix", args=[project.slug])
    shown = client.get(address, {"job": job.pk}).context["runs"]
    assert len(shown) == 20 and shown[-1].epoch == 24
    assert "No runs chosen" in text(client.get(address))


def test_the_worst_by_a_score(client: Client, runs: list[PredictionRun]) -> None:
    answer = client.get(reverse("compare:worst", args=[runs[1].pk]), {"metric": "char_error_rate"})
    assert [each["row"].sample_index for each in answer.context["rows"]] == [4, 1, 0, 2]
    answer = client.get(reverse("compare:worst", args=[runs[1].pk]), {"metric": "chrf", "most": "10"})
    assert answer.context["most"] == 10 and answer.context["rows"][0]["row"].sample_index == 4


def test_the_worst_by_failed_validators(client: Client, job: TrainingJob) -> None:
    job.config = {"predictions": {"validators": [{"type": "contains", "value": "a"}, {"type": "contains", "value": "b"}]}}
    job.save()
    make_firing(job, 1, [make_answer(0, "ab"), make_answer(1, "c"), make_answer(2, "a")])
    answer = client.get(reverse("compare:worst", args=[PredictionRun.objects.get().pk]))
    assert answer.context["by"] == "validators"
    assert [(each["row"].sample_index, each["value"]) for each in answer.context["rows"]] == [(1, 2), (2, 1)]


def test_the_worst_images(client: Client, images: list[PredictionRun]) -> None:
    rows = client.get(reverse("compare:worst", args=[images[1].pk])).context["rows"]
    assert [row.after for row in rows] == [0.0, 0.0, 1.0]


def test_unsteady_items_are_those_that_were_lost(client: Client, job: TrainingJob) -> None:
    """Item 0 is solved for good, 1 lost and solved again, 2 never solved, 3 has no reference."""
    for epoch, answers in enumerate([["no", "right", "no"], ["right", "no", "no"], ["right", "right", "no"]], 1):
        rows = [make_answer(n, said) for n, said in enumerate(answers)]
        make_firing(job, epoch, [*rows, make_answer(3, ground_truth=None)])
    context = client.get(reverse("compare:unsteady", args=[job.pk])).context
    assert [(each["item"].sample_index, each["flips"]) for each in context["flipping"]] == [(1, 2)]
    assert [each["item"].sample_index for each in context["never"]] == [2] and context["item_count"] == 4
    assert [solved for _, solved in context["flipping"][0]["strip"]] == [True, False, True]


def test_unsteady_items_of_a_job_without_answers(client: Client, job: TrainingJob) -> None:
    assert "No items yet" in text(client.get(reverse("compare:unsteady", args=[job.pk])))


# --- Large ones ------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "MOST_ITEMS", 1)


def test_a_large_comparison_is_a_job_and_then_kept(
    client: Client,
    project: Project,
    runs: list[PredictionRun],
    all_are_large: None,
) -> None:
    PredictionSetItem.objects.filter(sample_index__in=[1, 2]).update(tags=["hard"])
    page = text(client.get(two(project, runs)))
    job = Comparison.objects.get()
    assert job.status == JobStatus.PENDING and reverse("compare:progress", args=[job.pk]) in page
    run_comparison(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.COMPLETED
    kept = client.get(two(project, runs, metric="exact_match"))
    assert kept.context["judgement"].verdict.startswith("1 better, 1 worse, 1 the same")
    assert [one.tag for one in kept.context["slices"]] == ["hard"] and len(kept.context["rows"]) == 2
    assert client.get(two(project, runs, metric="exact_match", tag="hard")).context["judgement"].matched == 2
    assert Comparison.objects.count() == 1


def test_progress_asks_for_the_page_when_it_is_over(client: Client, user: User, runs: list[PredictionRun]) -> None:
    job = jobs.comparison_of(user, runs[0], runs[1], 0.25, None)
    address = reverse("compare:progress", args=[job.pk])
    assert 'hx-trigger="every 1s"' in text(client.get(address)) and "HX-Refresh" not in client.get(address).headers
    Comparison.objects.update(status=JobStatus.FAILED, error="No memory.")
    answer = client.get(address)
    assert answer.headers["HX-Refresh"] == "true" and "No memory." in text(answer)


def test_a_failed_one_is_tried_again(client: Client, user: User, project: Project, runs: list[PredictionRun]) -> None:
    job = jobs.comparison_of(user, runs[0], runs[1], 0.25, None)
    Comparison.objects.update(status=JobStatus.FAILED)
    back = two(project, runs)
    assert client.post(reverse("compare:retry", args=[job.pk]), {"next": back}).headers["Location"] == back
    job.refresh_from_db()
    assert job.status == JobStatus.PENDING
    elsewhere = client.post(reverse("compare:retry", args=[job.pk]), {"next": "https://evil.example/"}).headers["Location"]
    assert elsewhere == url(project)


def test_new_answers_make_another_and_drop_the_old(user: User, job: TrainingJob, runs: list[PredictionRun]) -> None:
    first = jobs.comparison_of(user, runs[0], runs[1], 0.25, None)
    run_comparison(first.pk)
    assert jobs.comparison_of(user, runs[0], runs[1], 0.25, None) == first
    make_firing(job, 2, [make_answer(9)])
    runs[1].refresh_from_db()
    second = jobs.comparison_of(user, runs[0], runs[1], 0.25, None)
    assert second != first
    run_comparison(second.pk)
    assert list(Comparison.objects.all()) == [second]


def test_a_comparison_goes_with_its_runs(user: User, job: TrainingJob, runs: list[PredictionRun]) -> None:
    jobs.comparison_of(user, runs[0], runs[1], 0.25, None)
    delete_job(job)
    assert not Comparison.objects.exists() and not TextPrediction.objects.exists()


def test_a_forgotten_one_is_rung_again() -> None:
    assert BELLS[Comparison] == "evaluation.tasks.run_comparison"


def test_links_of_the_page_lead_somewhere(client: Client, project: Project, runs: list[PredictionRun]) -> None:
    page = client.get(two(project, runs)).content.decode()
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="(\?[^"]+)"', page)}
    assert links and all(client.get(url(project) + link).status_code == 200 for link in links)


def test_where_no_run_fits_the_words_the_search_stays(client: Client, project: Project) -> None:
    page = client.get(url(project, q="nothing of that name")).content.decode()
    assert "No run of this project fits" in page and "Nothing to compare yet" not in page
