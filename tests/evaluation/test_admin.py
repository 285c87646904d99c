"""Test runs, comparisons, alerts and gates in the admin."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from datasets.large_tables import REACH
from evaluation.models import (
    Alert,
    AlertChannel,
    AlertRule,
    Comparison,
    Delivery,
    Gate,
    GateCheck,
    TestImageResult,
    TestMatches,
    TestRun,
)
from predictions.models import PredictionRun
from tests.evaluation.scenes import street
from tests.factories import (
    make_alert,
    make_channel,
    make_firing,
    make_gate,
    make_rule,
    make_test_run,
    make_training_job,
    make_user,
)

TABLES = [TestRun, TestImageResult, Comparison, AlertChannel, AlertRule, Alert, Delivery, Gate, GateCheck]


@pytest.fixture
def admin_client(db: None, client_of: Any) -> Client:
    client: Client = client_of(make_user("root", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def test_run(db: None) -> TestRun:
    return make_test_run(street()[1], name="first")


@pytest.fixture
def watched(test_run: TestRun) -> PredictionRun:
    """One row of everything."""
    job = make_training_job(job_id="watched")
    make_firing(job)
    run = PredictionRun.objects.get(job=job)
    channel = make_channel(job.project, target="https://hooks.example.org/secret-path")
    rule = make_rule(job, name="drop", channels=[channel])
    make_alert(rule, run)
    Delivery.objects.create(channel=channel, rule=rule, event="alerts", body={})
    gate = make_gate(job, exact_match={"limit": 0.5})
    GateCheck.objects.create(gate=gate, run=run, run_name="epoch 1", outcome="fail", reasons=[], figures=[])
    Comparison.objects.create(baseline=run, candidate=run, confidence=0.25, state="now")
    return run


def changelist(table: Any) -> str:
    return reverse(f"admin:evaluation_{table._meta.model_name}_changelist")


@pytest.mark.parametrize("query", [{}, {"q": "first"}])
@pytest.mark.parametrize("table", TABLES)
def test_every_list_opens(admin_client: Client, watched: PredictionRun, table: Any, query: dict[str, str]) -> None:
    assert admin_client.get(changelist(table), query).status_code == 200


@pytest.mark.parametrize("table", TABLES)
def test_every_row_opens_and_is_changed_elsewhere(admin_client: Client, watched: PredictionRun, table: Any) -> None:
    address = reverse(f"admin:evaluation_{table._meta.model_name}_change", args=[table.objects.first().pk])
    assert admin_client.get(address).status_code == 200
    assert admin_client.post(address, {}).status_code == 403


@pytest.mark.parametrize(
    ("table", "term"),
    [(TestRun, "street"), (TestRun, "detector"), (AlertRule, "watched"), (Alert, "worse"), (Gate, "release"), (GateCheck, "epoch 1")],
)  # fmt: skip
def test_rows_are_found_by_what_they_are_about(admin_client: Client, watched: PredictionRun, table: Any, term: str) -> None:
    for q, count in ((term, 1), ("nobody", 0)):
        assert len(admin_client.get(changelist(table), {"q": q}).context["cl"].result_list) == count


def test_lists_count_what_belongs_to_their_rows(admin_client: Client, watched: PredictionRun) -> None:
    rule = admin_client.get(changelist(AlertRule)).context["cl"].result_list[0]
    gate = admin_client.get(changelist(Gate)).context["cl"].result_list[0]
    channel = admin_client.get(changelist(AlertChannel)).context["cl"].result_list[0]
    assert (rule._open, rule._alerts, gate._limits, gate._checks, gate._failed, channel._rules) == (1, 1, 1, 1, 1, 1)
    page = admin_client.get(changelist(TestRun)).content.decode()
    assert f"testimageresult/?test_run={TestRun.objects.get().pk}" in page


def test_addresses_of_webhooks_are_not_shown(admin_client: Client, watched: PredictionRun) -> None:
    channel = AlertChannel.objects.get()
    address = reverse("admin:evaluation_alertchannel_change", args=[channel.pk])
    assert b"secret-path" not in admin_client.get(address).content + admin_client.get(changelist(AlertChannel)).content


def test_heavy_columns_stay_where_they_are(admin_client: Client, watched: PredictionRun) -> None:
    """The lists read neither curves nor matches, nor count a table of millions whole."""
    with CaptureQueriesContext(connection) as queries:
        for table in (TestRun, TestImageResult, Comparison):
            admin_client.get(changelist(table))
    asked = " ".join(query["sql"] for query in queries)
    heavy = ('"curves"', '"per_class_metrics"', '"replicates"', '"pairing"', "evaluation_testmatches")
    assert not [column for column in heavy if column in asked]
    counts = [
        query["sql"] for query in queries if "COUNT(" in query["sql"] and 'FROM "evaluation_testimageresult"' in query["sql"]
    ]
    assert counts and all(f"LIMIT {REACH}" in sql for sql in counts)


@pytest.mark.parametrize("table", [TestRun, TestImageResult, AlertRule])
def test_a_list_asks_as_much_for_many_rows(admin_client: Client, watched: PredictionRun, table: Any) -> None:
    with CaptureQueriesContext(connection) as few:
        admin_client.get(changelist(table))
    run = TestRun.objects.get().prediction_run
    for number in range(5):
        make_test_run(run, name=f"more {number}")
        make_rule(watched.job)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(changelist(table))
    assert len(many) == len(few) <= 8


def test_outcomes_of_an_image_are_found_by_its_file(admin_client: Client, test_run: TestRun) -> None:
    sample = test_run.dataset.samples.first()
    found = admin_client.get(changelist(TestImageResult), {"q": sample.file_name}).context["cl"].result_list
    assert [row.sample for row in found] == [sample]


def test_deleting_a_test_run_reads_no_outcome_and_takes_all_with_it(admin_client: Client, test_run: TestRun) -> None:
    address = reverse("admin:evaluation_testrun_delete", args=[test_run.pk])
    with CaptureQueriesContext(connection) as queries:
        assert b"Outcomes of images: 3" in admin_client.get(address).content
    assert not [query["sql"] for query in queries if "evaluation_testimageresult" in query["sql"]]
    admin_client.post(address, {"post": "yes"})
    assert not TestRun.objects.exists() and not TestImageResult.objects.exists() and not TestMatches.objects.exists()


def test_selected_test_runs_are_deleted(admin_client: Client, test_run: TestRun) -> None:
    admin_client.post(changelist(TestRun), {"action": "delete_selected", "_selected_action": [test_run.pk], "post": "yes"})
    assert not TestRun.objects.exists() and PredictionRun.objects.exists()
