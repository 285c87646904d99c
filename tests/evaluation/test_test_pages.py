"""The pages of test runs."""

import re
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from accounts.models import User
from datasets.models import Dataset, Sample
from evaluation.galleries import window_of
from evaluation.models import TestRun
from evaluation.test_listing import comparable_tests
from predictions.models import Checkpoint, PredictedLabel
from tests.factories import (
    make_annotation,
    make_category,
    make_dataset,
    make_predicted_object,
    make_project,
    make_run,
    make_sample,
    make_test_run,
    make_training_job,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]
FRAGMENT = {"HX-Request": "true"}
PLACES = [10.0, 200.0, 400.0]


def stored_image(name: str = "a.png") -> str:
    Image.new("RGB", (640, 480), "green").save(file := ContentFile(b""), "PNG")
    return default_storage.save(name, file)


@pytest.fixture
def dataset(user: User) -> Dataset:
    """Two images with a cat, a dog and a bird each; nothing predicts the bird."""
    dataset = make_dataset(make_project(user, name="animals"), name="animals")
    names = [make_category(dataset, name) for name in ("cat", "dog", "bird")]
    for _ in range(2):
        sample = make_sample(dataset, image=stored_image(), image_format="PNG")
        for category, x in zip(names, PLACES, strict=True):
            make_annotation(sample, category, x=x)
    return dataset


def judged(dataset: Dataset, name: str = "one", *, cat_score: float = 0.9, **asked: Any) -> TestRun:
    """Finds every cat, takes every dog for a cat, and is sure of a dog where nothing is."""
    cat, dog, _ = dataset.categories.order_by("position")
    run = make_run(dataset, name)
    for sample in dataset.samples.all():
        make_predicted_object(run, sample, cat, x=10, y=20, score=cat_score)
        make_predicted_object(run, sample, cat, x=200, y=20, score=0.6)
        make_predicted_object(run, sample, dog, x=300, y=300, score=0.4)
    return make_test_run(run, **asked)


@pytest.fixture
def test_run(dataset: Dataset) -> TestRun:
    return judged(dataset)


@pytest.fixture
def client(user: User, client_of: Any) -> Client:
    return client_of(user)


def page(client: Client, test_run: TestRun, name: str = "run", **query: Any) -> str:
    response = client.get(reverse(f"tests:{name}", args=[test_run.pk], query=query))
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def queries(client: Client, address: str) -> int:
    client.get(address)  # what is kept between requests is not counted
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


# --- The list ------------------------------------------------------------------------------------------------------------------
def test_the_list_tells_of_each_its_figure(client: Client, test_run: TestRun) -> None:
    html = client.get(reverse("tests:list", args=["animals"])).content.decode()
    assert test_run.get_absolute_url() in html and f"{test_run.primary_metric_value:.3f}" in words(html)


def test_the_list_is_filtered(client: Client, dataset: Dataset) -> None:
    judged(dataset, "first")
    judged(dataset, "second")
    address = reverse("tests:list", args=["animals"], query={"search": "second", "status": "completed"})
    html = client.get(address, headers=FRAGMENT).content.decode()
    assert "second" in html and ">first<" not in html and "<html" not in html


def test_an_empty_list_says_what_to_do(client: Client, dataset: Dataset) -> None:
    assert "How right was it?" in client.get(reverse("tests:list", args=["animals"])).content.decode()


def test_the_list_asks_as_much_for_many(client: Client, dataset: Dataset) -> None:
    address = reverse("tests:list", args=["animals"])
    judged(dataset, "first")
    few = queries(client, address)
    for number in range(3):
        judged(dataset, f"more-{number}")
    assert queries(client, address) == few


# --- Asking for one ------------------------------------------------------------------------------------------------------------
def test_one_click_starts_a_test(client: Client, dataset: Dataset) -> None:
    run = make_run(dataset, "clicked")
    assert f'name="run" value="{run.pk}"' in client.get(reverse("predictions:runs", args=[dataset.pk])).content.decode()
    response = client.post(reverse("tests:new", args=["animals"]), {"run": run.pk})
    made = TestRun.objects.get()
    assert response.status_code == 302 and response["Location"] == made.get_absolute_url()
    assert made.prediction_run == run and made.protocol["name"] == "coco"


def test_rules_can_be_changed(client: Client, dataset: Dataset) -> None:
    run = make_run(dataset)
    client.post(reverse("tests:new", args=["animals"]), {"run": run.pk, "protocol": "voc", "match_iou": "0.7"})
    made = TestRun.objects.get()
    assert made.protocol_name == "voc" and made.protocol["match_iou"] == 0.7


@pytest.fixture
def poses(user: User) -> Dataset:
    dataset = make_dataset(make_project(user, name="animals"), task_type="pose")
    make_sample(dataset)
    dataset.splits.update(sample_count=1)
    return dataset


@pytest.mark.parametrize(
    ("text", "sigmas"),
    [("0.1 0.2", [0.1, 0.2]), ("fox: 0.1, 0.2\n\nred: cat: 0.3", {"fox": [0.1, 0.2], "red: cat": [0.3]}), ("", None)],
)
def test_sigmas_are_written_a_line_for_each_class(client: Client, poses: Dataset, text: str, sigmas: Any) -> None:
    make_category(poses, "fox", keypoint_names=["nose", "tail"])
    if isinstance(sigmas, dict):
        make_category(poses, "red: cat", keypoint_names=["nose"])
    client.post(reverse("tests:new", args=["animals"]), {"run": make_run(poses).pk, "sigmas": text})
    assert TestRun.objects.get().protocol["sigmas"] == sigmas


@pytest.mark.parametrize("text", ["fox", "fox: wide", "fox: 0.1\n0.2", "fox:", "0.1 0.2 0.3"])
def test_sigmas_that_make_no_sense_are_said_beside_them(client: Client, poses: Dataset, text: str) -> None:
    make_category(poses, "fox", keypoint_names=["nose", "tail"])
    response = client.post(reverse("tests:new", args=["animals"]), {"run": make_run(poses).pk, "sigmas": text})
    assert response.status_code == 422 and response.context["form"].errors["sigmas"] and not TestRun.objects.exists()


@pytest.mark.parametrize("given", [{}, {"checkpoint": True}], ids=["nothing chosen", "no images for the checkpoint"])
def test_what_is_missing_is_said(client: Client, dataset: Dataset, given: dict[str, Any]) -> None:
    make_run(dataset)
    checkpoint = Checkpoint.objects.create(project=dataset.project, path="a.pt", sha256="0" * 64)
    response = client.post(reverse("tests:new", args=["animals"]), {"checkpoint": checkpoint.pk} if given else {})
    assert response.status_code == 422 and not TestRun.objects.exists()


# --- One -----------------------------------------------------------------------------------------------------------------------
def test_undefined_figures_say_why(client: Client, test_run: TestRun) -> None:
    text = page(client, test_run)
    assert "There is no small object." in text
    assert not re.search(r">\s*(nan|-1(\.0+)?)\s*<", text, re.IGNORECASE)


def test_warnings_stand_beside_the_figures(client: Client, test_run: TestRun) -> None:
    assert test_run.warnings and test_run.warnings[0] in words(page(client, test_run)).replace("&#x27;", "'")


def test_moving_the_slider_moves_everything(client: Client, test_run: TestRun) -> None:
    low, high = (
        client.get(
            reverse("tests:run", args=[test_run.pk], query={"confidence": confidence}), headers=FRAGMENT
        ).content.decode()
        for confidence in (0.1, 0.8)
    )
    assert "<html" not in low and 'id="point-figures"' in low and 'id="at-confidence"' in low
    assert words(low).split("Wrong")[1].split()[0] == "4" and words(high).split("Wrong")[1].split()[0] == "0"
    assert low.count('class="crop outcome-wrong"') == 4 and 'class="crop outcome-wrong"' not in high


def test_without_javascript_the_bar_is_a_form(client: Client, test_run: TestRun) -> None:
    html = page(client, test_run, "confusion", confidence="0.5", order="name")
    assert 'name="confidence"' in html and '<input type="hidden" name="order" value="name">' in html


def test_nonsense_in_the_address_breaks_nothing(client: Client, test_run: TestRun) -> None:
    for name in ("run", "confusion", "objects", "images", "slices", "curves"):
        page(client, test_run, name, confidence="high", true="99", predicted="-4", category="x", sort="?", page="9", group="?")


def test_a_cell_of_the_confusion_matrix_opens_its_objects(client: Client, test_run: TestRun) -> None:
    html = page(client, test_run, "confusion", confidence=0.5)
    [address] = re.findall(r'href="([^"]+)"[^>]*aria-label="dog as cat: 2, 100 % of the row"', html)
    gallery = client.get(address.replace("&amp;", "&")).content.decode()
    assert "dog, taken for cat" in gallery and gallery.count('class="crop outcome-wrong"') == 2


def test_background_cells_open_too(client: Client, test_run: TestRun) -> None:
    missed = page(client, test_run, "objects", true=2, predicted=3, confidence=0.1)
    made_up = page(client, test_run, "objects", true=3, predicted=1, confidence=0.1)
    assert missed.count('class="crop outcome-missed"') == 2 and "bird, missed" in missed
    assert made_up.count('class="crop outcome-wrong"') == 2 and "dog, where there is none" in made_up


def test_errors_open_their_objects(client: Client, test_run: TestRun) -> None:
    html = page(client, test_run, "objects", error="background", confidence=0.1)
    assert html.count('class="crop outcome-wrong"') == 2 and "nothing there" in html


def test_classes_without_predictions_are_not_defined(client: Client, test_run: TestRun) -> None:
    row = next(row for row in page(client, test_run, "classes").split("<tr")[1:] if ">bird<" in row)
    assert "It is never predicted at this confidence" in row


def test_galleries_ask_as_much_for_many(client: Client, test_run: TestRun, dataset: Dataset) -> None:
    few = [queries(client, reverse(f"tests:{name}", args=[test_run.pk])) for name in ("run", "objects", "images")]
    for _ in range(5):
        sample = make_sample(dataset)
        for category, x in zip(dataset.categories.order_by("position"), PLACES, strict=True):
            make_annotation(sample, category, x=x)
    larger = judged(dataset, "larger")
    assert [queries(client, reverse(f"tests:{name}", args=[larger.pk])) for name in ("run", "objects", "images")] == few


def test_images_are_filtered(client: Client, test_run: TestRun) -> None:
    assert page(client, test_run, "images").count("image-pair-head") == 2
    assert "No image fits" in page(client, test_run, "images", outcome="right")
    assert page(client, test_run, "images", error="missed", true="2").count("image-pair-head") == 2


def test_failed_ones_say_why_and_can_be_tried_again(client: Client, test_run: TestRun) -> None:
    TestRun.objects.filter(pk=test_run.pk).update(status="failed", error="The disk is full.")
    html = page(client, test_run)
    assert "The disk is full." in html and reverse("tests:retry", args=[test_run.pk]) in html
    assert client.get(reverse("tests:confusion", args=[test_run.pk])).status_code == 302
    client.post(reverse("tests:retry", args=[test_run.pk]))
    test_run.refresh_from_db()
    assert test_run.status == "pending"


def test_a_completed_one_cannot_be_cancelled(client: Client, test_run: TestRun) -> None:
    response = client.post(reverse("tests:cancel", args=[test_run.pk]), follow=True)
    assert "there is nothing to cancel" in response.content.decode()


def test_progress_refreshes_the_page_when_it_is_over(client: Client, test_run: TestRun) -> None:
    assert client.get(reverse("tests:progress", args=[test_run.pk]))["HX-Refresh"] == "true"


# --- Rules, charts, report -----------------------------------------------------------------------------------------------------
def test_a_checkpoint_is_asked_as_its_page_says(client: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.tasks.run_inference.apply_async", lambda *args, **kwargs: None)
    dataset.splits.update(sample_count=2)
    checkpoint = Checkpoint.objects.create(
        project=dataset.project, path="a.pt", sha256="0" * 64, framework="onnx", class_names=["cat", "hound"]
    )
    split, dog = dataset.splits.get(), dataset.categories.get(name="dog")
    url = reverse("tests:new", args=["animals"])
    page = client.get(f"{url}?checkpoint={checkpoint.pk}&split={split.pk}").content.decode()
    assert 'name="predict-confidence" value="0.001"' in page and f'name="class_{dog.pk}"' in page
    chosen = {"predict-iou": "0.5", "predict-max_objects": "20", f"class_{dog.pk}": "hound"}
    sent = {"checkpoint": checkpoint.pk, "split": split.pk}
    assert client.post(url, sent | chosen | {"predict-iou": "7"}).status_code == 422
    assert client.post(url, sent | {f"class_{dog.pk}": "bone"}).status_code == 422
    assert client.post(url, sent | chosen).status_code == 302
    made = TestRun.objects.get()
    assert made.inference.settings == {
        "confidence": 0.001, "iou": 0.5, "max_objects": 20, "class_mapping": {"hound": "dog"},
    }  # fmt: skip
    page = client.get(made.get_absolute_url()).content.decode()
    assert "0 of 2" in page and made.inference.get_absolute_url() in page


def test_how_a_checkpoint_was_asked_stands_with_the_rules(client: Client, dataset: Dataset) -> None:
    settings = {"confidence": 0.001, "iou": 0.7, "max_objects": 300}
    run = make_run(dataset, "made", generation_params={"settings": settings, "class_mapping": {"hound": "dog"}})
    page = client.get(reverse("tests:protocol", args=[make_test_run(run).pk])).content.decode()
    assert "Confidence from 0.001, overlap up to 0.7, 300 objects of an image." in page and "hound became dog" in page


def test_other_preprocessing_than_the_checkpoints_is_warned_of(client: Client, dataset: Dataset) -> None:
    checkpoint = Checkpoint.objects.create(
        project=dataset.project, path="a.pt", preprocessing={"imgsz": [640, 640], "crop_pct": 0.9}
    )
    run = make_run(
        dataset,
        generation_params={"checkpoint": {"id": checkpoint.pk}, "preprocessing": {"imgsz": [320, 320], "crop_pct": 0.9}},
    )
    make_predicted_object(run, Sample.objects.first(), dataset.categories.first())
    html = page(client, make_test_run(run), "protocol")
    assert "320 × 320" in html and "640 × 640" in html and html.count("</svg> differs") == 1


def test_other_protocols_are_led_to_rule_by_rule(client: Client, test_run: TestRun) -> None:
    html = client.get(reverse("tests:reconciliation", args=[test_run.pk])).content.decode()
    assert "COCO to Ultralytics" in html and "COCO to Pascal VOC" in html and "IoU 0.5 alone" in words(html)


def test_charts_have_points(client: Client, test_run: TestRun) -> None:
    answer = client.get(reverse("tests:confidence", args=[test_run.pk])).json()
    assert [each["name"] for each in answer["datasets"]] == ["Precision", "Recall", "F1"]
    of_class = client.get(reverse("tests:precision_recall", args=[test_run.pk], query={"category": 0})).json()
    assert of_class["datasets"][0]["name"] == "cat" and len(of_class["datasets"][0]["data"]) == 101


def test_the_report_holds_all_it_shows(client: Client, test_run: TestRun) -> None:
    html = page(client, test_run, "report", confidence=0.1)
    shown = html.split("</p>", 1)[1]  # after the line that is not printed
    assert not re.search(r'(src|href)="(?!data:|#)', shown) and shown.count("data:image/webp;base64,") == 4
    assert "@media print" in html and "Save as PDF" in html


# --- Crops ---------------------------------------------------------------------------------------------------------------------
def test_crops_are_made_once(client: Client, test_run: TestRun, monkeypatch: pytest.MonkeyPatch) -> None:
    annotation = Sample.objects.first().annotations.first()
    first = client.get(reverse("tests:truth_crop", args=[annotation.pk]))
    assert first["Content-Type"] == "image/webp"
    monkeypatch.setattr("datasets.media._cut", None)
    assert client.get(reverse("tests:truth_crop", args=[annotation.pk])).content == first.content


@pytest.mark.parametrize("x, y", [(0, 0), (600, 440), (300, 200)])
def test_windows_lie_within_the_image(x: float, y: float, dataset: Dataset) -> None:
    sample = Sample.objects.first()
    annotation = make_annotation(sample, dataset.categories.first(), x=x, y=y, width=40, height=40)
    left, top, width, height = window_of(annotation, sample)
    assert left >= 0 and top >= 0 and left + width <= 640 and top + height <= 480 and width == height == 68


# --- Two of them, and those of a training --------------------------------------------------------------------------------------
def test_fixed_and_broken_objects_stand_side_by_side(client: Client, dataset: Dataset) -> None:
    before, after = judged(dataset, "before", cat_score=0.05), judged(dataset, "after")
    address = reverse(
        "tests:against", args=["animals"], query={"a": before.pk, "b": after.pk, "confidence": 0.5, "change": "fixed"}
    )
    html = client.get(address).content.decode()
    told = re.findall(r'<b class="num">(\d+)</b>.*?(Fixed|Broken|Both wrong|Both right)', html, re.DOTALL)
    assert {label: count for count, label in told} == {"Fixed": "2", "Broken": "0", "Both wrong": "4", "Both right": "0"}
    assert html.count('class="card crop-pair"') == 2 and "outcome-missed" in html and "outcome-right" in html


def test_the_other_one_is_chosen_from_a_list(client: Client, dataset: Dataset) -> None:
    one, other = judged(dataset, "first"), judged(dataset, "second")
    html = client.get(reverse("tests:against", args=["animals"], query={"a": one.pk})).content.decode()
    assert f"?a={one.pk}&amp;b={other.pk}" in html


def test_different_datasets_are_not_compared(client: Client, test_run: TestRun, dataset: Dataset) -> None:
    elsewhere = make_dataset(dataset.project, name="elsewhere")
    make_annotation(make_sample(elsewhere), make_category(elsewhere))
    other = make_test_run(make_run(elsewhere))
    html = client.get(reverse("tests:against", args=["animals"], query={"a": test_run.pk, "b": other.pk})).content.decode()
    assert "different datasets" in html


def test_a_trainings_tests_are_a_trend(client: Client, dataset: Dataset) -> None:
    job = make_training_job(dataset.project, "nano", task_type="detection")
    for epoch in (5, 10):
        checkpoint = Checkpoint.objects.create(project=dataset.project, job=job, path=f"{epoch}.pt", epoch=epoch, step=epoch)
        run = make_run(dataset, f"epoch {epoch}", generation_params={"checkpoint": {"id": checkpoint.pk}})
        make_predicted_object(run, Sample.objects.first(), dataset.categories.first(), x=10, y=20)
        make_test_run(run)
    assert "epoch 10" in client.get(reverse("tests:of_training", args=[job.pk])).content.decode()
    [line] = client.get(reverse("tests:trend", args=[job.pk])).json()["datasets"]
    assert [point["x"] for point in line["data"]] == [5, 10] and line["data"][0]["y"] > 0


# --- A classifier --------------------------------------------------------------------------------------------------------------
def test_a_classifiers_images_are_its_objects(client: Client, user: User) -> None:
    dataset = make_dataset(make_project(user, name="leaves"), name="leaves", task_type="classification")
    oak, elm = (make_category(dataset, name) for name in ("oak", "elm"))
    run = make_run(dataset, generation_params={"class_names": ["oak", "elm"]})
    for truth, chance in ((oak, 0.9), (oak, 0.3), (elm, 0.2)):
        sample = make_sample(dataset, image=stored_image(), image_format="PNG")
        make_annotation(sample, truth, x=None, y=None, width=None, height=None, area=None)
        PredictedLabel.objects.create(run=run, sample=sample, probabilities=[chance, 1 - chance])
    test_run = make_test_run(run)
    html = page(client, test_run, "objects", true=0, predicted=1)
    assert html.count('class="crop outcome-wrong"') == 1 and "oak, taken for elm" in html
    assert "loss" in page(client, test_run, "images")
    assert client.get(reverse("tests:reliability", args=[test_run.pk])).json()["datasets"][0]["data"]


# --- From the runs of a dataset -------------------------------------------------------------------------------------------------
def test_the_list_of_runs_tells_the_figure_of_the_newest_test(client: Client, dataset: Dataset) -> None:
    older = judged(dataset)
    newer = make_test_run(older.prediction_run)
    told = client.get(reverse("tests:figures_of_runs", args=[dataset.pk])).content.decode()
    assert f'id="tested-{older.prediction_run_id}"' in told and "AP" in told
    assert newer.get_absolute_url() in told and older.get_absolute_url() not in told


def test_the_figures_of_runs_take_as_many_queries_for_two_as_for_one(client: Client, dataset: Dataset) -> None:
    address = reverse("tests:figures_of_runs", args=[dataset.pk])
    judged(dataset)
    with CaptureQueriesContext(connection) as one:
        client.get(address)
    judged(dataset, "two")
    with CaptureQueriesContext(connection) as two:
        client.get(address)
    assert len(one) == len(two)


def test_a_comparison_of_tested_runs_leads_to_their_objects(client: Client, dataset: Dataset) -> None:
    before, after = judged(dataset), judged(dataset, "two", cat_score=0.95)
    runs = {"baseline": before.prediction_run_id, "candidate": after.prediction_run_id}
    page = client.get(reverse("compare:compare", args=[dataset.project.slug], query=runs)).content.decode()
    assert f"?a={before.pk}&amp;b={after.pk}" in page


def test_runs_tested_by_different_tasks_do_not(client: Client, dataset: Dataset) -> None:
    before, after = judged(dataset), judged(dataset, "two")
    TestRun.objects.filter(pk=after.pk).update(task_type="segmentation")
    assert before.prediction_run and after.prediction_run
    assert comparable_tests(before.prediction_run, after.prediction_run) is None
