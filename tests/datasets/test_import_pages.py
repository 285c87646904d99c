"""Import pages of ground truth: the source, the doctor's report, progress, the end, and the list of all."""

import zipfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from datasets import tasks
from datasets.models import Dataset, DatasetImport, JobStatus, Sample, Upload
from tests.coco_files import annotation, coco, picture, write
from tests.factories import make_annotation, make_category, make_dataset, make_project, make_sample, make_split, make_user
from tests.uploaded import form_file, make_upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def dataset(user: User) -> Dataset:
    return make_dataset(make_project(user), name="birds")


@pytest.fixture
def client(client_of, user: User) -> Client:
    return client_of(user)


@pytest.fixture
def roots(settings, tmp_path: Path) -> Path:
    root = (tmp_path / "roots").resolve()
    root.mkdir()
    settings.IMPORT_ROOTS = [root]
    return root


def start(client: Client, dataset: Dataset, **data: Any) -> Any:
    return client.post(reverse("datasets:import_new", args=[dataset.pk]), {"split": "val", **data})


def look(job: DatasetImport) -> DatasetImport:
    """The worker's part."""
    tasks.run_dataset_import(job.pk)
    job.refresh_from_db()
    return job


def act(client: Client, job: DatasetImport, action: str, **data: Any) -> Any:
    headers = data.pop("headers", {})
    return client.post(reverse(f"datasets:import_{action}", args=[job.pk]), data, headers=headers)


@pytest.fixture
def draft(client: Client, dataset: Dataset, user: User) -> DatasetImport:
    """A look at a file with one annotation that does not fit."""
    content = coco(annotations=[annotation(), annotation(id=2, category_id=99), annotation(id=3, bbox=[90, 70, 30, 30])])
    start(client, dataset, upload=make_upload(user, dataset.project, content).pk)
    return look(DatasetImport.objects.get())


def fill(dataset: Dataset) -> None:
    """One image with an annotation in val."""
    make_annotation(make_sample(dataset), make_category(dataset))
    dataset.splits.update(sample_count=1, annotation_count=1)


def text(answer: Any) -> str:
    return str(answer.content.decode())


# --- The source ------------------------------------------------------------------------------------------------------
def test_a_file_comes_with_the_form(client: Client, dataset: Dataset, user: User) -> None:
    answer = start(client, dataset, file=form_file(coco()))
    job = DatasetImport.objects.get()
    assert answer.url == job.get_absolute_url()
    assert (job.source_name, job.split_name, job.created_by, job.dry_run) == ("truth.json", "val", user, True)


def test_a_file_comes_as_an_upload(client: Client, dataset: Dataset, user: User) -> None:
    upload = make_upload(user, dataset.project, coco())
    start(client, dataset, upload=upload.pk, split="train")
    job = DatasetImport.objects.get()
    assert (job.upload, job.split_name, job.status) == (upload, "train", JobStatus.PENDING)


def test_somebody_elses_upload_is_no_source(client: Client, dataset: Dataset) -> None:
    colleague = make_user()
    dataset.project.memberships.create(user=colleague, role="admin")
    answer = start(client, dataset, upload=make_upload(colleague, dataset.project).pk)
    assert answer.status_code == 422 and "no such upload of yours" in text(answer)


def test_an_upload_of_another_project_is_no_source(client: Client, dataset: Dataset, user: User) -> None:
    answer = start(client, dataset, upload=make_upload(user, make_project(user, name="Fish")).pk)
    assert answer.status_code == 422 and not DatasetImport.objects.exists()


def test_an_unfinished_upload_is_no_source(client: Client, dataset: Dataset, user: User) -> None:
    answer = start(client, dataset, upload=make_upload(user, dataset.project, size=10).pk)
    assert answer.status_code == 422 and "2 of 10 bytes arrived" in text(answer)


def test_nothing_is_no_source(client: Client, dataset: Dataset) -> None:
    answer = start(client, dataset)
    assert answer.status_code == 422 and "Choose a file first." in text(answer)


def test_a_corrected_form_keeps_its_file(client: Client, dataset: Dataset) -> None:
    answer = start(client, dataset, file=form_file(coco()), split="")
    assert answer.status_code == 422 and f'value="{Upload.objects.get().pk}"' in text(answer)


def test_the_page_may_start_with_a_file_that_is_here(client: Client, dataset: Dataset, user: User) -> None:
    upload = make_upload(user, dataset.project, name="again.json")
    page = client.get(reverse("datasets:import_new", args=[dataset.pk]), {"upload": str(upload.pk), "split": "train"})
    assert "again.json" in text(page) and 'value="train"' in text(page)


def test_a_file_too_large_is_refused(client: Client, dataset: Dataset, settings) -> None:
    settings.MAX_UPLOAD_BYTES = 5
    answer = start(client, dataset, file=form_file(coco()))
    assert answer.status_code == 422 and "TOUCHSTONE_MAX_UPLOAD_MB" in text(answer)


def test_images_come_as_a_zip_of_their_own(client: Client, dataset: Dataset, user: User, tmp_path: Path) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(picture(tmp_path / "001.jpg"), "pictures/001.jpg")
    images = make_upload(user, dataset.project, packed.getvalue(), name="pictures.zip")
    start(client, dataset, file=form_file(coco(1, annotations=[])), images_upload=images.pk)
    assert look(DatasetImport.objects.get()).report["with_image"] == 1


def test_an_upload_is_read_under_its_name(client: Client, dataset: Dataset, settings) -> None:
    start(client, dataset, file=form_file("nonsense", name="truth.xyz"))
    assert "(truth.xyz)" in look(DatasetImport.objects.get()).error
    assert not list(settings.SCRATCH_ROOT.iterdir())


def test_a_file_of_the_server_is_a_source(client: Client, dataset: Dataset, roots: Path) -> None:
    path = write(roots / "truth.json", coco())
    start(client, dataset, place="server", path=str(path))
    assert look(DatasetImport.objects.get()).report["stored"]["samples"] == 2


@pytest.mark.parametrize("path", ["/etc/passwd", "/no/such/file", "../outside", "a\0b"])
def test_what_is_outside_the_roots_is_answered_alike(client: Client, dataset: Dataset, roots: Path, path: str) -> None:
    answer = start(client, dataset, place="server", path=path)
    assert answer.status_code == 422 and not DatasetImport.objects.exists()
    assert ("outside the folders" in text(answer)) or "Null characters" in text(answer)


def test_a_link_out_of_the_roots_is_outside(client: Client, dataset: Dataset, roots: Path, tmp_path: Path) -> None:
    (roots / "way-out").symlink_to(tmp_path)
    answer = start(client, dataset, place="server", path=str(roots / "way-out"))
    assert answer.status_code == 422 and "outside the folders" in text(answer)


def test_paths_are_not_offered_where_there_are_no_roots(client: Client, dataset: Dataset, settings) -> None:
    settings.IMPORT_ROOTS = []
    assert "On the server" not in text(client.get(reverse("datasets:import_new", args=[dataset.pk])))
    assert start(client, dataset, place="server", path="/etc").status_code == 422


# --- Looking around --------------------------------------------------------------------------------------------------
def folders(client: Client, dataset: Dataset, **query: str) -> str:
    return text(client.get(reverse("datasets:import_folders", args=[dataset.pk]), query))


def test_folders_begin_with_the_roots(client: Client, dataset: Dataset, roots: Path) -> None:
    assert str(roots) in folders(client, dataset)


def test_a_folder_shows_what_is_in_it(client: Client, dataset: Dataset, roots: Path, tmp_path: Path) -> None:
    (roots / "inner").mkdir()
    (roots / ".hidden").mkdir()
    (roots / "way-out").symlink_to(tmp_path)
    write(roots / "truth.json", "{}")
    shown = folders(client, dataset, at=str(roots))
    assert "inner" in shown and "truth.json" in shown and ".hidden" not in shown and "way-out" not in shown


@pytest.mark.parametrize("at", ["/etc", "/no/such/folder"])
def test_folders_outside_are_answered_alike(client: Client, dataset: Dataset, roots: Path, at: str) -> None:
    assert "outside the folders" in folders(client, dataset, at=at)


def test_a_long_folder_is_cut(client: Client, dataset: Dataset, roots: Path, monkeypatch) -> None:
    monkeypatch.setattr("datasets.server_folders.MOST_SHOWN", 2)
    for number in range(5):
        write(roots / f"{number}.json", "{}")
    assert "3 more are not shown" in folders(client, dataset, at=str(roots))


def test_names_of_files_are_text(client: Client, dataset: Dataset, roots: Path) -> None:
    write(roots / "<img src=x>.json", "{}")
    assert "<img" not in folders(client, dataset, at=str(roots))


# --- The report ------------------------------------------------------------------------------------------------------
def test_the_report_shows_what_fits_and_what_does_not(client: Client, draft: DatasetImport) -> None:
    page = text(client.get(draft.get_absolute_url()))
    assert "1 of 5 rows do not fit" in page and "Unknown class" in page and "category_id 99" in page
    assert "Import 2 images and 2 annotations" in page and draft.status == JobStatus.DRAFT
    assert not Sample.objects.exists()


def test_a_fix_has_the_doctor_look_again(client: Client, draft: DatasetImport) -> None:
    answer = act(client, draft, "reexamine", fixes=["clip_boxes"], headers=HTMX)
    draft.refresh_from_db()
    assert (draft.status, draft.fixes, draft.dry_run) == (JobStatus.PENDING, ["clip_boxes"], True)
    assert "Looking again" in text(answer) and "<html" not in text(answer)
    assert next(fix["on"] for fix in look(draft).report["fixes"] if fix["key"] == "clip_boxes")


def test_fixes_may_change_while_the_doctor_looks(client: Client, draft: DatasetImport) -> None:
    act(client, draft, "reexamine", fixes=["clip_boxes"])
    act(client, draft, "reexamine")
    draft.refresh_from_db()
    assert (draft.status, draft.fixes) == (JobStatus.PENDING, [])


def test_an_unknown_fix_is_refused(client: Client, draft: DatasetImport) -> None:
    answer = act(client, draft, "reexamine", fixes=["magic"], headers=HTMX)
    assert answer.status_code == 422 and "There is no fix magic" in text(answer)


def test_confirming_imports(client: Client, draft: DatasetImport, dataset: Dataset) -> None:
    assert act(client, draft, "confirm").url == draft.get_absolute_url()
    assert look(draft).status == JobStatus.COMPLETED
    dataset.refresh_from_db()
    assert (dataset.sample_count, dataset.annotation_count) == (2, 2)
    page = text(client.get(draft.get_absolute_url()))
    assert "Stored 2 images and 2 annotations in val" in page and f"{dataset.get_absolute_url()}?split=val" in page


def test_a_second_confirmation_does_nothing(client: Client, draft: DatasetImport) -> None:
    act(client, draft, "confirm")
    look(draft)
    answer = act(client, draft, "confirm", headers=HTMX)
    assert answer.status_code == 422 and "This import is completed." in text(answer)


def test_a_running_import_is_not_looked_at_again(client: Client, draft: DatasetImport) -> None:
    act(client, draft, "confirm")
    answer = act(client, draft, "reexamine", headers=HTMX)
    assert answer.status_code == 422 and "This import is pending." in text(answer)


def test_replacing_is_asked(client: Client, draft: DatasetImport, dataset: Dataset) -> None:
    fill(dataset)
    assert "Replace 1 image and 1 annotation of val" in text(client.get(draft.get_absolute_url()))
    answer = act(client, draft, "confirm", headers=HTMX)
    draft.refresh_from_db()
    assert answer.status_code == 422 and "would replace" in text(answer) and draft.status == JobStatus.DRAFT


def test_replacing_says_what_becomes_of_predictions(client: Client, draft: DatasetImport, dataset: Dataset) -> None:
    fill(dataset)
    Dataset.objects.update(prediction_count=47_520)
    assert "47,520 predictions stay with images that" in text(client.get(draft.get_absolute_url()))


def test_replacing(client: Client, draft: DatasetImport, dataset: Dataset) -> None:
    fill(dataset)
    act(client, draft, "confirm", replace="on")
    look(draft)
    dataset.refresh_from_db()
    assert (draft.status, dataset.sample_count) == (JobStatus.COMPLETED, 2)


def test_ids_that_mean_two_classes_are_seen(client: Client, dataset: Dataset, user: User) -> None:
    make_category(dataset, "lynx", "7")
    make_split(dataset, "train")
    start(client, dataset, upload=make_upload(user, dataset.project, coco()).pk)
    job = look(DatasetImport.objects.get())
    page = text(client.get(job.get_absolute_url()))
    assert "cat in the file, lynx in the dataset" in page and "Match classes by name" in page
    assert reverse("datasets:import_confirm", args=[job.pk]) not in page


def test_where_nothing_fits_nothing_is_offered(client: Client, dataset: Dataset, user: User) -> None:
    job = DatasetImport.objects.create(dataset=dataset, source_name="a.json", status="draft", dry_run=True, report={})
    assert reverse("datasets:import_confirm", args=[job.pk]) not in text(client.get(job.get_absolute_url()))


# --- Progress and ends -----------------------------------------------------------------------------------------------
def make_job(dataset: Dataset, status: str, **fields: Any) -> DatasetImport:
    return DatasetImport.objects.create(dataset=dataset, source_name="truth.json", status=status, **fields)


def test_a_poll_gets_the_progress_alone(client: Client, dataset: Dataset) -> None:
    now = timezone.now()
    job = make_job(dataset, "running", progress_done=40, progress_total=100, stage="reading", started_at=now)
    shown = client.get(job.get_absolute_url(), headers=HTMX)
    assert 'id="import-progress"' in text(shown) and "Reading" in text(shown) and "import-state" not in text(shown)
    assert 'hx-trigger="every 1s"' in text(shown) and "HX-Retarget" not in shown.headers
    assert "HX-Request" in shown.headers["Vary"]


def test_the_last_poll_replaces_the_state(client: Client, draft: DatasetImport) -> None:
    shown = client.get(draft.get_absolute_url(), headers=HTMX)
    assert shown.headers["HX-Retarget"] == "#import-state" and "every 1s" not in text(shown)
    assert "<html" not in text(shown)


def test_a_history_restore_gets_the_whole_page(client: Client, draft: DatasetImport) -> None:
    headers = HTMX | {"HX-History-Restore-Request": "true"}
    assert "<html" in text(client.get(draft.get_absolute_url(), headers=headers))


@pytest.mark.parametrize(("seconds", "told"), [(2, False), (15, True)])
def test_a_job_that_nobody_takes_says_so(client: Client, dataset: Dataset, seconds: int, told: bool) -> None:
    job = make_job(dataset, "pending", queued_at=timezone.now() - timedelta(seconds=seconds))
    assert ("No worker has taken it yet" in text(client.get(job.get_absolute_url()))) is told


def test_a_failure_says_what_where_and_how_to_mend_it(client: Client, dataset: Dataset, user: User) -> None:
    start(client, dataset, upload=make_upload(user, dataset.project, '{"images": [').pk)
    page = text(client.get(look(DatasetImport.objects.get()).get_absolute_url()))
    assert "The file is cut short" in page and "byte 12 of 12" in page and "export it again" in page
    assert "Nothing was stored" in page and reverse("datasets:import_retry", args=[DatasetImport.objects.get().pk]) in page


def test_a_fault_of_ours_is_told_as_such(client: Client, dataset: Dataset) -> None:
    job = make_job(dataset, "failed", error="Touchstone itself failed here.", report={"refusal": {"message": "Old."}})
    page = text(client.get(job.get_absolute_url()))
    assert "Touchstone itself failed here." in page and "Old." not in page


def test_cancelling(client: Client, dataset: Dataset) -> None:
    job = make_job(dataset, "running")
    act(client, job, "cancel")
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED and "Cancelled" in text(client.get(job.get_absolute_url()))


def test_trying_again(client: Client, draft: DatasetImport) -> None:
    act(client, draft, "cancel")
    act(client, draft, "retry")
    draft.refresh_from_db()
    assert draft.status == JobStatus.PENDING and look(draft).status == JobStatus.DRAFT


def test_starting_anew_takes_the_source_along(client: Client, draft: DatasetImport) -> None:
    assert f"upload={draft.upload_id}&amp;split=val" in text(client.get(draft.get_absolute_url()))


def test_rejected_rows_are_downloaded(client: Client, draft: DatasetImport) -> None:
    answer = client.get(reverse("datasets:import_rejects", args=[draft.pk]))
    assert b'"reason": "unknown_category"' in b"".join(answer.streaming_content)
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_rejects_are_those_of_the_last_look(client: Client, draft: DatasetImport) -> None:
    write(draft.upload.path, coco())
    act(client, draft, "reexamine")
    assert look(draft).rejects_file == ""
    assert client.get(reverse("datasets:import_rejects", args=[draft.pk])).status_code == 404


def test_names_of_strangers_files_are_text(client: Client, dataset: Dataset, user: User) -> None:
    upload = make_upload(user, dataset.project, coco(annotations=[annotation(category_id="<script>x</script>")]))
    start(client, dataset, upload=upload.pk)
    job = look(DatasetImport.objects.get())
    DatasetImport.objects.update(source_name="<script>alert(1)</script>.json")
    assert "<script>alert" not in text(client.get(job.get_absolute_url())) and "<script>x" not in text(
        client.get(job.get_absolute_url())
    )


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_a_viewer_sees_the_report_but_decides_nothing(client_of, draft: DatasetImport) -> None:
    viewer = make_user()
    draft.dataset.project.memberships.create(user=viewer, role="viewer")
    client = client_of(viewer)
    page = text(client.get(draft.get_absolute_url()))
    assert "Unknown class" in page and "hx-post" not in page
    assert act(client, draft, "confirm").status_code == 403


def test_a_stranger_finds_no_import(client_of, draft: DatasetImport) -> None:
    client = client_of(make_user())
    assert client.get(draft.get_absolute_url()).status_code == 404
    assert act(client, draft, "cancel").status_code == 404


# --- The list --------------------------------------------------------------------------------------------------------
def test_the_list_shows_imports_and_asks_for_those_of_predictions(client: Client, draft: DatasetImport) -> None:
    page = text(client.get(reverse("datasets:imports", args=[draft.dataset_id])))
    assert "truth.json" in page and reverse("predictions:imports", args=[draft.dataset_id]) in page
    assert "every 2s" not in page


def test_the_list_renews_itself_while_one_is_under_way(client: Client, dataset: Dataset) -> None:
    make_job(dataset, "running")
    panel = client.get(reverse("datasets:imports", args=[dataset.pk]), headers=HTMX)
    assert "every 2s" in text(panel) and "<html" not in text(panel)


def test_an_empty_list_says_what_to_do(client: Client, dataset: Dataset) -> None:
    assert "No ground truth was imported yet" in text(client.get(reverse("datasets:imports", args=[dataset.pk])))


def test_the_list_asks_no_more_for_more(client: Client, dataset: Dataset, django_assert_max_num_queries) -> None:
    for _ in range(20):
        make_job(dataset, "completed", created_by=make_user())
    with django_assert_max_num_queries(8):
        client.get(reverse("datasets:imports", args=[dataset.pk]))
