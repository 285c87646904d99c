"""Test runs in the API: made by editors, looked into by viewers, exported, compared."""

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken, Membership, Role, User
from evaluation.models import TestImageResult, TestRun
from evaluation.stored_matches import tables
from inference.models import InferenceJob
from predictions.coco_results import read_results
from predictions.models import Checkpoint, PredictedObject, PredictionRun
from tests.evaluation.scenes import street
from tests.evaluation.test_test_runs import bells  # noqa: F401 - a fixture
from tests.factories import make_predicted_object, make_run, make_test_run, make_training_job, make_user
from tests.test_openapi import complaints, operations, schema  # noqa: F401 - a fixture

ADDRESS = "/api/inference/test-runs/"
JSON = "application/json"


@pytest.fixture
def made(db: None) -> TestRun:
    _, run = street()
    return make_test_run(run, rules={"confidence": 0.25})


def member(test_run: TestRun | PredictionRun, role: Role) -> Client:
    user = make_user()
    Membership.objects.create(project=test_run.project, user=user, role=role)
    return client(user)


def client(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {ApiToken.issue(user, 'test')[1]}"})


@pytest.fixture
def viewer(made: TestRun) -> Client:
    return member(made, Role.VIEWER)


@pytest.fixture
def get(made: TestRun, viewer: Client, schema: dict[str, Any]) -> Any:  # noqa: F811
    """The answer to an address of the test run, held against the schema."""

    def ask(path: str = "", status: int = 200) -> Any:
        url = f"{ADDRESS}{made.pk}/{path}"
        answer = viewer.get(url)
        assert answer.status_code == status, answer.content
        assert complaints(schema, operations(schema, url.partition("?")[0])["get"], answer) == []
        return answer.json()

    return ask


# --- Making ------------------------------------------------------------------------------------------------------------
def test_an_editor_makes_one_of_a_run(db: None, bells: list[int]) -> None:  # noqa: F811
    _, run = street()
    answer = member(run, Role.EDITOR).post(ADDRESS, {"prediction_run": run.pk, "name": "nightly"})
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["status"], told["name"], told["rules"]["max_detections"]) == ("pending", "nightly", [1, 10, 100])
    assert bells == [told["id"]] and told["prediction_run_id"] == run.pk


def test_a_viewer_makes_none_and_a_stranger_sees_no_run(db: None) -> None:
    _, run = street()
    assert member(run, Role.VIEWER).post(ADDRESS, {"prediction_run": run.pk}).status_code == 403
    assert client(make_user()).post(ADDRESS, {"prediction_run": run.pk}).status_code == 404
    assert not TestRun.objects.exists()


def test_an_editor_makes_one_of_a_training_job_s_checkpoint(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from inference import tasks

    monkeypatch.setattr(tasks.run_inference, "apply_async", lambda *args, **kwargs: None)
    dataset, run = street()
    job = make_training_job(dataset.project, "yolo")
    checkpoint = Checkpoint.objects.create(
        project=dataset.project, job=job, name="last", path="/w/last.pt", sha256="1", step=1, epoch=3, framework="ultralytics",
        task_type="detection",
    )  # fmt: skip
    wanted = {"training_job_id": "yolo", "checkpoint": "last", "dataset": dataset.pk, "dataset_split": "val"}
    answer = member(run, Role.EDITOR).post(ADDRESS, wanted)
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["training_job_id"], told["checkpoint_id"], told["epoch"]) == ("yolo", checkpoint.pk, 3.0)
    inference = InferenceJob.objects.get()
    assert told["inference_job_id"] == inference.pk and inference.settings == {"confidence": 0.001}
    listed = member(run, Role.VIEWER).get("/api/training/jobs/yolo/test-runs/").json()
    assert listed["total_count"] == 1 and listed["runs"][0]["id"] == told["id"]


def test_how_a_checkpoint_is_asked_is_chosen(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from inference import tasks

    monkeypatch.setattr(tasks.run_inference, "apply_async", lambda *args, **kwargs: None)
    dataset, run = street()
    checkpoint = Checkpoint.objects.create(
        project=dataset.project, path="/w/a.pt", sha256="1", framework="onnx", class_names=["feline"]
    )
    inference = {"confidence": 0.01, "iou": 0.6, "max_objects": 100, "class_mapping": {"feline": "cat"}}
    wanted = {"checkpoint_id": checkpoint.pk, "dataset": dataset.pk, "dataset_split": "val"}
    assert member(run, Role.EDITOR).post(ADDRESS, wanted | {"inference": inference}, content_type=JSON).status_code == 202
    assert InferenceJob.objects.get().settings == inference
    for wrong, told in [({"iou": 2}, "inference.iou"), ({"class_mapping": {"canine": "dog"}}, "no class canine")]:
        answer = member(run, Role.EDITOR).post(ADDRESS, wanted | {"inference": wrong}, content_type=JSON)
        assert answer.status_code == 400 and told in str(answer.json())
    answer = member(run, Role.EDITOR).post(ADDRESS, wanted | {"checkpoint_id": 999_999})
    assert answer.status_code == 404 and f"There are: {checkpoint.pk}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "dataset"),
        ({"dataset": 1, "dataset_split": "val"}, "checkpoint_id"),
        ({"prediction_run": "RUN", "dataset_split": "nowhere"}, "dataset_split"),
        ({"prediction_run": "RUN", "rules": {"match_iou": 3}}, ""),
        ({"prediction_run": "RUN", "task_type": "telepathy"}, "task_type"),
    ],
)
def test_what_cannot_be_made_is_told_by_field(body: dict[str, Any], field: str, db: None) -> None:
    _, run = street()
    sent = {name: run.pk if value == "RUN" else value for name, value in body.items()}
    answer = member(run, Role.EDITOR).post(ADDRESS, sent, content_type="application/json")
    assert answer.status_code == 400 and answer.json()["remedy"] is not None
    assert field in [error["field"] for error in answer.json()["errors"]] or not field


# --- Reading -----------------------------------------------------------------------------------------------------------
def test_it_has_all_the_fields_that_were_promised(get: Any) -> None:
    told = get()
    promised = {
        "status", "task_type", "primary_metric_name", "primary_metric_value", "overall_loss", "metrics", "per_class_metrics",
        "confusion_matrix", "class_names", "total_images", "inference_time_ms", "created_at", "started_at", "finished_at",
        "error_message",
    }  # fmt: skip
    assert promised <= told.keys() and told["metrics"]["true_positives"] == 1


def test_lists_leave_the_tables_out_and_take_few_queries(made: TestRun, viewer: Client) -> None:
    for _ in range(3):
        make_test_run(made.prediction_run)
    with CaptureQueriesContext(connection) as few:
        rows = viewer.get(ADDRESS).json()["results"]
    assert len(rows) == 4 and "confusion_matrix" not in rows[0]
    for number in range(6):
        make_test_run(make_run(made.dataset, f"other {number}"))
    with CaptureQueriesContext(connection) as many:
        assert len(viewer.get(ADDRESS).json()["results"]) == 10
    assert len(many) == len(few)


@pytest.mark.parametrize(
    ("query", "total", "correct"),
    [
        ("", 3, 0),
        ("true_class=cat", 1, 0),
        ("true_class=1", 1, 0),
        ("predicted_class=dog", 1, 0),
        ("is_correct=true", 0, 0),
        ("is_correct=false", 3, 0),
        ("min_confidence=0.5", 1, 0),
        ("max_confidence=0.5", 1, 0),
        ("error=missed", 1, 0),
        ("error=background", 1, 0),
    ],
)
def test_images_are_filtered_and_counted(get: Any, query: str, total: int, correct: int) -> None:
    told = get(f"images/?{query}")
    assert (told["total_count"], told["correct_count"], told["incorrect_count"]) == (total, correct, total - correct)
    assert len(told["results"]) == total


def test_images_show_what_is_true_and_what_was_said(get: Any) -> None:
    first, second, third = get("images/")["results"]
    assert (first["true_label"], first["predicted_labels"], first["errors"]) == ("cat", ["cat", "dog"], ["classification"])
    assert [one["label"] for one in first["true_objects"]] == ["cat", "cat"]
    assert [(one["label"], one["confidence"]) for one in first["predicted_objects"]] == [("cat", 0.9), ("dog", 0.8)]
    assert second["errors"] == ["missed"] and third["true_label"] is None
    assert first["image"]["thumb_url"].startswith("/samples/")


def test_predictions_below_the_figures_confidence_are_shown_when_asked_for(made: TestRun, get: Any) -> None:
    sample = made.dataset.samples.order_by("pk")[1]
    make_predicted_object(made.prediction_run, sample, made.dataset.categories.first(), score=0.01)
    assert get("images/")["results"][1]["predicted_objects"] == []
    assert len(get("images/?objects_from=0")["results"][1]["predicted_objects"]) == 1


@pytest.mark.parametrize("sort", ["confidence", "-f1", "-false_positives", "file_name", "-is_correct"])
def test_images_are_sorted_by_anything(get: Any, sort: str) -> None:
    rows = get(f"images/?sort={sort}")["results"]
    name = sort.lstrip("-")
    values = [row["image"]["file_name"] if name == "file_name" else row[name] for row in rows]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=sort.startswith("-")) and values[: len(known)] == known


def test_pages_of_images_take_the_same_queries_however_long(made: TestRun, viewer: Client) -> None:
    address = f"{ADDRESS}{made.pk}/images/"
    with CaptureQueriesContext(connection) as few:
        viewer.get(f"{address}?limit=1")
    with CaptureQueriesContext(connection) as many:
        viewer.get(f"{address}?limit=3")
    assert len(few) == len(many)


# --- The operating point -----------------------------------------------------------------------------------------------
def test_the_slider_moves_everything(get: Any) -> None:
    told = get("operating-point/?confidence=0.25")
    assert (told["true_positives"], told["false_positives"], told["false_negatives"]) == (1, 2, 2)
    assert told["confusion_matrix"] == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert told["errors"] == {
        "classification": 1, "localisation": 0, "both": 0, "duplicate": 0, "background": 1, "missed": 1,
    }  # fmt: skip
    told = get("operating-point/?confidence=0.85")
    assert (told["true_positives"], told["false_positives"], told["precision"]) == (1, 0, 1.0)
    assert [one["name"] for one in told["per_class"]] == ["cat", "dog"]


def test_without_a_confidence_the_figures_own_counts(get: Any) -> None:
    assert get("operating-point/")["confidence"] == 0.25


def test_the_table_stays_in_memory_and_is_never_stale(made: TestRun, get: Any) -> None:
    get("operating-point/?confidence=0.25")
    assert (made.pk, 1) in tables._kept
    PredictedObject.objects.filter(score=0.9).delete()
    TestRun.objects.update(status="failed")
    made.refresh_from_db()
    from evaluation import tasks

    assert made.requeue()
    tasks.run_test(made.pk)
    assert get("operating-point/?confidence=0.25")["true_positives"] == 0


@pytest.mark.parametrize(
    ("cell", "outcomes"),
    [
        ("true=cat&predicted=cat", ["tp"]),
        ("true=0&predicted=dog", ["fp"]),
        ("true=dog&predicted=-1", ["fn"]),
        ("true=-1&predicted=cat", ["fp"]),
        ("true=dog&predicted=dog", []),
    ],
)
def test_a_cell_opens_what_it_counts(get: Any, cell: str, outcomes: list[str]) -> None:
    told = get(f"confusion/?{cell}&confidence=0.25")
    assert [one["outcome"] for one in told["results"]] == outcomes and told["total_count"] == len(outcomes)
    for one in told["results"]:
        assert one["image"]["sample_id"] and one["crop_url"].startswith("/samples/")


def test_a_mistaken_one_shows_both_sides(get: Any) -> None:
    (one,) = get("confusion/?true=cat&predicted=dog&confidence=0.25")["results"]
    assert (one["true"]["label"], one["predicted"]["label"], one["error"]) == ("cat", "dog", "classification")
    assert one["true"]["bbox"] == one["predicted"]["bbox"] == [200.0, 10.0, 50.0, 50.0]


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("outcome=tp", ["cat"]),
        ("outcome=fp", ["dog", "cat"]),
        ("outcome=fp&class=dog", ["dog"]),
        ("outcome=fp&error=background", ["cat"]),
        ("outcome=fn", ["cat", "dog"]),
        ("outcome=fn&error=missed", ["dog"]),
        ("outcome=fp&offset=1", ["cat"]),
    ],
)
def test_galleries_hold_what_was_asked_for(get: Any, query: str, labels: list[str]) -> None:
    told = get(f"objects/?{query}&confidence=0.25")
    assert [(one["predicted"] or one["true"])["label"] for one in told["results"]] == labels


@pytest.mark.parametrize(
    "query", ["objects/?outcome=tn", "objects/?outcome=tp&class=fish", "confusion/?true=9&predicted=0", "images/?sort=luck",
              "operating-point/?confidence=2", "objects/?outcome=fn&limit=0", "export/?format=xlsx"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(get: Any, query: str) -> None:
    get(query, status=400)


def test_one_that_is_not_completed_has_nothing_to_show(made: TestRun, get: Any) -> None:
    TestRun.objects.update(status="running")
    for path in ("operating-point/", "objects/?outcome=tp", "thresholds/", "reconciliation/", "export/?format=csv"):
        get(path, status=409)


# --- Protocols ---------------------------------------------------------------------------------------------------------
def test_thresholds_are_those_of_the_best_f1(get: Any) -> None:
    told = get("thresholds/")
    assert told["classes"]["cat"]["confidence"] == 0.9 and told["classes"]["dog"]["f1"] == 0.0
    assert told["all"] == {"confidence": 0.9, "f1": 0.5}


def test_reconciliation_names_the_rules_that_moved_the_number(made: TestRun, get: Any) -> None:
    told = get("reconciliation/")
    assert told["start"] == "coco" and set(told["protocols"]) == {"ultralytics", "voc"}
    steps = told["protocols"]["voc"]["steps"]
    assert steps[0]["value"] == pytest.approx(made.metrics["AP"], abs=1e-9) and "IoU 0.5 alone" in [
        one["rule"] for one in steps
    ]
    made.refresh_from_db()
    assert made.reconciliation["protocols"] == told["protocols"]


def test_a_long_reconciliation_is_made_by_a_worker_once(made: TestRun, get: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluation import reconciling, tasks

    rung: list[int] = []
    monkeypatch.setattr(reconciling, "MOST_AT_ONCE", 0)
    monkeypatch.setattr(tasks.reconcile_test, "delay_on_commit", rung.append)
    for _ in range(2):
        get("reconciliation/", status=202)
    assert rung == [made.pk]
    tasks.reconcile_test(made.pk)
    assert get("reconciliation/")["start"] == "coco"


# --- Exports -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def export(made: TestRun, viewer: Client) -> Any:
    def fetch(name: str) -> bytes:
        answer = viewer.get(f"{ADDRESS}{made.pk}/export/?format={name}")
        assert answer.status_code == 200 and f"test-run-{made.pk}" in answer["Content-Disposition"]
        return b"".join(answer.streaming_content)

    return fetch


def test_csv_has_a_row_for_each_image(export: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(export("csv").decode())))
    assert [row["predicted_labels"] for row in rows] == ["cat; dog", "", "cat"]
    assert rows[0]["is_correct"] == "False" and rows[1]["false_negatives"] == "1"


def test_json_holds_figures_and_images(export: Any, made: TestRun) -> None:
    told = json.loads(export("json"))
    assert told["metrics"] == made.metrics and len(told["images"]) == 3


def test_parquet_has_typed_columns(export: Any) -> None:
    from arro3.io import read_parquet

    table = read_parquet(io.BytesIO(export("parquet"))).read_all()

    def values(name: str) -> list[Any]:
        return [one.as_py() for one in table[name]]

    assert values("true_positives") == [1, 0, 0] and values("is_correct") == [False] * 3
    assert values("predicted_labels") == [["cat", "dog"], [], ["cat"]] and values("confidence") == [0.9, None, 0.3]


def test_coco_results_can_be_imported_again(export: Any, made: TestRun) -> None:
    from datasets.importers.problems import ProblemLog
    from predictions.coco_results import Truth, id_map

    told = json.loads(export("coco"))
    truth = Truth(
        id_map((name, key) for key, name in made.dataset.samples.values_list("pk", "external_id")),
        id_map((name, key) for key, name in made.dataset.categories.values_list("pk", "external_id")),
    )
    found = list(read_results(told, truth, ProblemLog(), frozenset()))
    stored = PredictedObject.objects.order_by("pk").values_list("sample", "category", "score")
    assert [(row.sample, row.category, row.score) for row in found] == list(stored)


def test_errors_are_listed_with_their_kind(export: Any) -> None:
    rows = list(csv.DictReader(io.StringIO(export("errors").decode())))
    told = [(row["outcome"], row["error"], row["true_label"], row["predicted_label"]) for row in rows]
    assert told == [
        ("fp", "classification", "cat", "dog"), ("fp", "background", "", "cat"), ("fn", "missed", "cat", ""),
        ("fn", "missed", "dog", ""),
    ]  # fmt: skip


def test_a_name_that_a_spreadsheet_would_run_is_text(export: Any, made: TestRun) -> None:
    made.dataset.samples.update(file_name="=cmd()")
    assert next(csv.DictReader(io.StringIO(export("csv").decode())))["file_name"] == "'=cmd()"


# --- Comparing ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def better(made: TestRun) -> TestRun:
    """The same truth; the dog is found, the first cat lost."""
    run = make_run(made.dataset, "better", prediction_count=2)
    second = made.dataset.samples.order_by("pk")[1]
    first = made.dataset.samples.order_by("pk")[0]
    cat, dog = made.dataset.categories.order_by("position")
    make_predicted_object(run, second, dog, score=0.9, x=0.0, y=10.0, width=50.0, height=50.0)
    make_predicted_object(run, first, cat, score=0.9, x=200.0, y=10.0, width=50.0, height=50.0)
    return make_test_run(run, rules={"confidence": 0.25})


def test_two_are_told_side_by_side(made: TestRun, better: TestRun, viewer: Client, schema: dict[str, Any]) -> None:  # noqa: F811
    url = "/api/test-runs/compare/"
    answer = viewer.get(url, {"baseline": made.pk, "candidate": better.pk})
    told = answer.json()
    assert complaints(schema, operations(schema, url)["get"], answer) == []
    assert told["objects"] == {"fixed": 2, "broken": 1, "both_right": 0, "both_wrong": 0}
    assert told["metrics"][0]["name"] == "AP" and told["metrics"][0]["difference"] > 0
    assert told["matched_images"] == 3 and told["differences"] == []
    assert "2 objects fixed, 1 broken" in told["verdict"]
    f1 = next(one for one in told["metrics"] if one["name"] == "f1")
    assert f1["interval"][0] <= f1["difference"] <= f1["interval"][1]


@pytest.mark.parametrize(("kind", "labels"), [("fixed", ["cat", "dog"]), ("broken", ["cat"]), ("both_right", [])])
def test_what_changed_is_shown_object_by_object(
    kind: str, labels: list[str], made: TestRun, better: TestRun, viewer: Client
) -> None:
    asked = {"baseline": made.pk, "candidate": better.pk, "kind": kind}
    told = viewer.get("/api/test-runs/compare/objects/", asked).json()
    assert [one["true"]["label"] for one in told["results"]] == labels and told["total_count"] == len(labels)
    for one in told["results"]:
        assert (one["baseline"] is None) == (kind == "fixed") and (one["candidate"] is None) == (kind == "broken")


def test_another_dataset_s_cannot_be_compared(made: TestRun, db: None) -> None:
    user = make_user()
    _, run = street()
    other = make_test_run(run)
    for one in (made, other):
        Membership.objects.create(project=one.project, user=user, role=Role.VIEWER)
    asked = {"baseline": made.pk, "candidate": other.pk}
    assert client(user).get("/api/test-runs/compare/", asked).status_code == 409


def test_one_of_a_stranger_s_project_is_not_there(made: TestRun, viewer: Client, db: None) -> None:
    _, run = street()
    asked = {"baseline": made.pk, "candidate": make_test_run(run).pk}
    assert viewer.get("/api/test-runs/compare/", asked).status_code == 404


# --- Ending ------------------------------------------------------------------------------------------------------------
def test_an_editor_deletes_it(made: TestRun) -> None:
    assert member(made, Role.EDITOR).delete(f"{ADDRESS}{made.pk}/").status_code == 204
    assert not TestImageResult.objects.exists()
