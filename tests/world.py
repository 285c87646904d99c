"""A project with one of everything, and six people around it: for tests that walk all addresses."""

from typing import Any

from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from PIL import Image

from accounts.models import ApiToken, Invitation
from datasets.models import DatasetImport, JobStatus, Split, Upload
from evaluation.gates import check as check_gate
from evaluation.models import Comparison, Delivery, GateCheck
from inference.models import CheckpointExport, InferenceJob, InferenceResult, TrustedWeights
from predictions import curation
from predictions.models import JobToken, PredictionImport, TextPrediction
from tests.access_table import PEOPLE
from tests.factories import (
    make_alert,
    make_annotation,
    make_category,
    make_channel,
    make_checkpoint,
    make_dataset,
    make_firing,
    make_gate,
    make_golden_set,
    make_predicted_object,
    make_project,
    make_rule,
    make_run,
    make_sample,
    make_test_run,
    make_training_job,
    make_user,
)


class World:
    """A project with one of everything, and six people."""

    def __init__(self) -> None:
        self.people = {name: make_user(name) for name in PEOPLE[1:-1]}
        self.people["superuser"] = make_user("superuser", is_staff=True, is_superuser=True)
        admin, viewer, editor = self.people["admin"], self.people["viewer"], self.people["editor"]
        project = make_project(admin, name="birds", viewer=viewer, editor=editor)
        token, _ = ApiToken.issue(editor, "script")
        invitation = Invitation.objects.create(project=project, user=self.people["stranger"], invited_by=admin)
        dataset = make_dataset(project, name="birds")
        category = make_category(dataset)
        sample = make_sample(dataset, image=self.store_image(), image_format="PNG")
        annotation = make_annotation(sample, category)
        run = make_run(dataset)
        predicted = make_predicted_object(run, sample, category)
        failed = {"dataset": dataset, "status": JobStatus.FAILED, "rejects_file": self.store_rejects()}
        job = DatasetImport.objects.create(source_name="a.json", **failed)
        prediction_job = PredictionImport.objects.create(source_name="b.json", **failed)
        upload = Upload.objects.create(project=project, owner=editor, file_name="a.json", size=10)
        membership = project.memberships.get(user=viewer)
        training = make_training_job(project, "nightly", status="running")
        make_firing(training, 1)
        text = TextPrediction.objects.get(sample_index=0)
        comparison = Comparison.objects.create(
            baseline=run, candidate=run, state="0.25", confidence=0.25, status=JobStatus.FAILED
        )
        channel = make_channel(project)
        rule = make_rule(training, channels=[channel])
        alert = make_alert(rule, training.runs.get())
        gate = make_gate(training, name="release", exact_match={"limit": 0.5})
        check_gate(gate, training.runs.get(), editor)
        delivery = Delivery.objects.create(channel=channel, rule=rule, event="alerts", body={})
        test_run = make_test_run(run)
        job_token, _ = JobToken.issue(training, admin, "training", 30)
        golden = make_golden_set(project)
        item = curation.begin_draft(golden).items.first()
        checkpoint = make_checkpoint(project, job=training, file=self.store_weights())
        export = CheckpointExport.objects.create(checkpoint=checkpoint, format="onnx", file=self.store_weights())
        inference = InferenceJob.objects.create(project=project, checkpoint=checkpoint, kind="single", created_by=editor)
        result = InferenceResult.objects.create(
            job=inference, position=0, name="a.png", image=self.store_image(), image_format="PNG", width=8, height=6
        )
        trusted = TrustedWeights.objects.create(sha256="0" * 64, trusted_by=self.people["superuser"])
        rows: list[Any] = [
            trusted,
            project, token, invitation, dataset, Split.objects.get(), category, sample, annotation, run, predicted, job,
            prediction_job, upload, membership, channel, rule, alert, delivery, comparison, gate, GateCheck.objects.get(), test_run,
            test_run.image_results.first(), training, text, golden, item.version, item, Group.objects.create(name="staff"), viewer,
        ]  # fmt: skip
        # The arguments of addresses, by what they are about.
        self.arguments: dict[str, dict[str, Any]] = {
            f"admin {row._meta.label_lower.replace('.', '_')}": {"object_id": row.pk} for row in rows
        }
        self.arguments |= {row._meta.model_name: {"pk": row.pk} for row in rows}
        self.arguments |= {
            "": {},
            "comparison": {"pk": comparison.pk},
            "project": {"slug": project.slug},
            "membership": {"slug": project.slug, "pk": membership.pk},
            "project_invitation": {"slug": project.slug, "pk": invitation.pk},
            "token": {"pk": token.pk},
            "named_gate": {"name": gate.name},
            "training": {"pk": training.pk},
            "checkpoint": {"pk": checkpoint.pk},
            "checkpoint_export": {"pk": export.pk},
            "training_token": {"pk": training.pk, "token_pk": job_token.pk},
            "training_item": {"pk": training.pk, "key": text.item.key},
            "job_id": {"job_id": training.job_id},
            "job_sample": {"job_id": training.job_id, "sample_index": 0},
            "set": {"pk": golden.pk},
            "set_item": {"pk": golden.pk, "item_pk": item.pk},
            "set_items": {"pk": golden.pk, "version": "1"},
            "draft_item": {"pk": golden.pk, "key": item.key},
            "inference": {"pk": inference.pk},
            "inference_download": {"pk": inference.pk, "form": "csv"},
            "inference_result": {"pk": result.pk},
            "inference_thumb": {"pk": result.pk, "size": 160},
            "thumb": {"pk": sample.pk, "size": 160},
            "sample_page": {"pk": dataset.pk, "sample_pk": sample.pk},
            "in_dataset": {"dataset_pk": dataset.pk},
            "sample_in_dataset": {"dataset_pk": dataset.pk, "pk": sample.pk},
            "annotations": {"dataset_pk": dataset.pk, "sample_pk": sample.pk},
            "run_in_dataset": {"dataset_pk": dataset.pk, "pk": run.pk},
            "app": {"app_label": "datasets"},
            "user": {"id": viewer.pk},
            "view_on_site": {"content_type_id": ContentType.objects.get_for_model(dataset).pk, "object_id": dataset.pk},
        }

    @staticmethod
    def store_image() -> str:
        Image.new("RGB", (8, 6)).save(file := ContentFile(b""), "PNG")
        return default_storage.save("matrix.png", file)

    @staticmethod
    def store_rejects() -> str:
        return default_storage.save("rejects.jsonl", ContentFile(b"{}\n"))

    @staticmethod
    def store_weights() -> str:
        return default_storage.save("weights.onnx", ContentFile(b"weights"))

    def client(self, person: str) -> Client:
        client = Client()
        if person != "anonymous":
            client.force_login(self.people[person])
        return client
