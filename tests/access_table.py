"""What every address answers to everybody: the table that tests/test_access_matrix.py holds the running code against.

A row names the object that its address is about (`of`, an entry of the test's world) and gives for each method six answers:

    anonymous, stranger (logged in, no member), viewer, editor, admin (of the project), superuser (no member of it)

as status codes, or as `login` and `admin` for being sent to either page where one logs in; `a|b` where it depends on what runs.
"""

from dataclasses import dataclass, field
from typing import Any

PEOPLE = ["anonymous", "stranger", "viewer", "editor", "admin", "superuser"]

# Pages
OPEN = "200 200 200 200 200 200"
OPEN_NO = "405 405 405 405 405 405"
NO = "login 405 405 405 405 405"
ALL = "login 200 200 200 200 200"
ALL_DO = "login 302 302 302 302 302"
ALL_422 = "login 422 422 422 422 422"
SEE = "login 404 200 200 200 404"
EDIT = "login 404 403 200 200 404"
EDIT_DO = "login 404 403 302 302 404"
EDIT_422 = "login 404 403 422 422 404"
ADMIN_DO = "login 404 403 403 302 404"
# What belongs to one person, here the editor.
OWNER = "login 404 404 200 404 404"
OWNER_DO = "login 404 404 302 404 404"

# API
API_NO = "401 405 405 405 405 405"
API_ALL = "401 200 200 200 200 200"
API_SEE = "401 404 200 200 200 404"
API_EDIT = "401 404 403 200 200 404"
API_ONLY_EDIT = "401 404 403 200 200 404"
API_MAKE = "401 404 403 201 201 404"
API_ACCEPT = "401 404 403 202 202 404"
API_400 = "401 404 403 400 400 404"
API_DELETE = "401 404 403 204 204 404"


@dataclass(frozen=True)
class Row:
    of: str = ""
    get: str = NO
    post: str = NO
    # For the API alone.
    put: str = ""
    patch: str = ""
    delete: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def answers(self) -> dict[str, str]:
        every = {"GET": self.get, "POST": self.post, "PUT": self.put, "PATCH": self.patch, "DELETE": self.delete}
        return {method: answers for method, answers in every.items() if answers}


def api(of: str = "", **answers: Any) -> Row:
    """An endpoint: what is not named is not allowed."""
    return Row(of, **({"get": API_NO, "post": API_NO, "put": API_NO, "patch": API_NO, "delete": API_NO} | answers))


NO_LINES = {"limits-TOTAL_FORMS": "0", "limits-INITIAL_FORMS": "0"}

PAGES = {
    "healthz": Row(get=OPEN, post=OPEN_NO),
    "readyz": Row(get=" ".join(["200|503"] * 6), post=OPEN_NO),
    "accounts:home": Row(get=ALL_DO),
    "accounts:login": Row(get="200 302 302 302 302 302", post="200 302 302 302 302 302"),
    "accounts:logout": Row(get=NO, post="login login login login login login"),
    "accounts:signup": Row(get="404 404 404 404 404 404", post="404 404 404 404 404 404"),  # switched off
    "accounts:password": Row(get=ALL, post=ALL_422, body={"old_password": "wrong"}),
    "accounts:tokens": Row(get=ALL, post=ALL, body={"name": "laptop"}),
    "accounts:token_revoke": Row("token", post=OWNER_DO),
    "accounts:projects": Row(get=ALL),
    "accounts:project_new": Row(get=ALL, post=ALL_DO, body={"name": "Fish"}),
    "accounts:project": Row("project", get=SEE),
    "accounts:members": Row("project", get=SEE, post=ADMIN_DO, body={"username": "stranger", "role": "viewer"}),
    "accounts:member_role": Row("membership", post=ADMIN_DO, body={"role": "editor"}),
    # The membership is the viewer's, who may leave.
    "accounts:member_remove": Row("membership", post="login 404 302 403 302 404"),
    "accounts:invitation_withdraw": Row("project_invitation", post=ADMIN_DO),
    # The invitation is the stranger's.
    "accounts:invitation_accept": Row("invitation", post="login 302 404 404 404 404"),
    "accounts:invitation_decline": Row("invitation", post="login 302 404 404 404 404"),
    "overview": Row("project", get=SEE),
    "jump": Row(get=ALL),
    "inference:checkpoints": Row("project", get=SEE),
    "inference:checkpoint_new": Row("project", get=EDIT, post=EDIT_422),
    "inference:checkpoint": Row("checkpoint", get=SEE),
    # For the server's administrators who are members too; nobody of the table is both.
    "inference:checkpoint_trust": Row("checkpoint", post="login 404 403 403 403 404"),
    "inference:checkpoint_delete": Row("checkpoint", post=EDIT_DO),
    "inference:checkpoint_export": Row("checkpoint", post=EDIT_DO),
    "inference:export_file": Row("checkpoint_export", get=SEE),
    "inference:export_register": Row("checkpoint_export", post=EDIT_DO),
    "inference:export_cancel": Row("checkpoint_export", post=EDIT_DO),
    "datasets:list": Row("project", get=SEE),
    "datasets:new": Row("project", get=EDIT, post=EDIT_DO, body={"name": "Owls", "task_type": "detection"}),
    "datasets:settings": Row("dataset", get=EDIT, post=EDIT_DO, body={"name": "Owls"}),
    "datasets:delete": Row("dataset", post=EDIT_DO),
    "datasets:image": Row("sample", get=SEE),
    "datasets:thumb": Row("thumb", get=SEE),
    # Without a box there is nothing to cut out.
    "datasets:crop": Row("sample", get="login 404 404 404 404 404"),
    "datasets:imports": Row("dataset", get=SEE),
    "datasets:import_new": Row("dataset", get=EDIT, post=EDIT_422),
    "datasets:import_folders": Row("dataset", get=EDIT),
    # Imports of either kind.
    **{
        f"{app}:import_{name}": Row(of, **answers)
        for app, of in [("datasets", "datasetimport"), ("predictions", "predictionimport")]
        for name, answers in [
            *((name, {"get": SEE}) for name in ("detail", "rejects")),
            *((name, {"post": EDIT_DO}) for name in ("reexamine", "confirm", "cancel", "retry")),
        ]
    },
    "predictions:images": Row("dataset", get=SEE),
    "predictions:facets": Row("dataset", get=SEE),
    "predictions:sample": Row("sample_page", get=SEE),
    "predictions:statistics": Row("dataset", get=SEE),
    "predictions:class_chart": Row("dataset", get=SEE),
    "predictions:size_chart": Row("dataset", get=SEE),
    "predictions:runs": Row("dataset", get=SEE),
    "predictions:run_delete": Row("predictionrun", post=EDIT_DO),
    "predictions:imports": Row("dataset", get=SEE),
    "predictions:import_new": Row("dataset", get=EDIT, post=EDIT_422),
    "sets:list": Row("project", get=SEE),
    "sets:new": Row("project", get=EDIT, post=EDIT_DO, body={"name": "Owls"}),
    # Without a reference there is nothing to find.
    "sets:find": Row("project", get="login 404 404 404 404 404"),
    "sets:options": Row("project", get=SEE),
    "sets:collect": Row("project", post=EDIT_DO),
    "sets:set": Row("set", get=SEE),
    "sets:diff": Row("set", get=SEE),
    "sets:export": Row("set", get=SEE),
    "sets:leakage": Row("set", get=SEE, post="login 404 422 422 422 404"),
    "sets:rules": Row("set", get=EDIT, post=EDIT_DO),
    # The draft holds what the version before holds.
    "sets:publish": Row("set", get=EDIT, post=EDIT_422),
    "sets:item_add": Row("set", get=EDIT, post=EDIT_422),
    "sets:item": Row("set_item", get=EDIT, post=EDIT_422),
    "sets:import": Row("set", get=EDIT, post=EDIT_422),
    **{f"sets:{name}": Row("set", post=EDIT_DO) for name in ("begin", "discard", "items_remove", "delete")},
    "tests:list": Row("project", get=SEE),
    # Without a run or a checkpoint the form says what is missing.
    "tests:new": Row("project", get=EDIT, post=EDIT_422),
    "tests:against": Row("project", get=SEE),
    "tests:figures_of_runs": Row("dataset", get=SEE),
    **{f"tests:{name}": Row("training", get=SEE) for name in ("of_training", "trend")},
    **{
        f"tests:{name}": Row("testrun", get=SEE)
        for name in (
            *("run", "classes", "curves", "confusion", "errors", "objects", "images", "slices", "protocol", "report"),
            *("precision_recall", "confidence", "reliability", "reconciliation", "progress"),
        )
    },
    **{f"tests:{name}": Row("testrun", post=EDIT_DO) for name in ("cancel", "retry", "delete")},
    "tests:truth_crop": Row("annotation", get=SEE),
    "tests:predicted_crop": Row("predictedobject", get=SEE),
    "training:list": Row("project", get=SEE),
    "training:new": Row("project", get=EDIT, post=EDIT_422),
    "training:cost": Row("project", get=SEE),
    **{f"training:{name}": Row("training", get=SEE) for name in ("job", "live", "chart", "trends_csv", "items", "runs")},
    "training:changes": Row("training", get="login 404 302 302 302 404"),
    "training:item": Row("training_item", get=SEE),
    "training:item_chart": Row("training_item", get=SEE),
    "training:setup": Row("training", get=SEE, post="login 404 403 200 200 404", body={"name": "laptop", "days": "3"}),
    "training:token_revoke": Row("training_token", post=EDIT_DO),
    "training:config": Row("training", get=SEE, post=EDIT_422),
    "training:end": Row("training", post=EDIT_DO),
    "alerts:list": Row("project", get=SEE),
    "alerts:badge": Row("project", get=SEE),
    "alerts:job_banner": Row("training", get=SEE),
    "alerts:acknowledge": Row("alert", post=EDIT_DO),
    "alerts:resolve": Row("alert", post=EDIT_DO),
    "alerts:rules": Row("project", get=SEE),
    "alerts:rule_new": Row("project", get=EDIT, post=EDIT_422),
    "alerts:rule": Row("alertrule", get=SEE),
    "alerts:rule_edit": Row("alertrule", get=EDIT, post=EDIT_422),
    "alerts:rule_switch": Row("alertrule", post=EDIT_DO),
    "alerts:rule_delete": Row("alertrule", post=EDIT_DO),
    "alerts:rule_test": Row("alertrule", post=EDIT_DO),
    # The address of a webhook may be a secret in itself.
    "gates:list": Row("project", get=SEE),
    "gates:new": Row("project", get=EDIT, post=EDIT_422, body=NO_LINES),
    "gates:gate": Row("gate", get=SEE),
    "gates:edit": Row("gate", get=EDIT, post=EDIT_422, body=NO_LINES),
    "gates:check": Row("gate", post=EDIT_DO),
    "gates:delete": Row("gate", post=EDIT_DO),
    "alerts:channels": Row("project", get=EDIT, post=EDIT_422),
    "alerts:channel": Row("alertchannel", get=EDIT, post=EDIT_422),
    "alerts:channel_secret": Row("alertchannel", post="login 404 403 200 200 404"),
    "alerts:channel_test": Row("alertchannel", post=EDIT_DO),
    "alerts:channel_delete": Row("alertchannel", post=EDIT_DO),
    "training:delete": Row("training", post=EDIT_DO),
    **{f"compare:{name}": Row("project", get=SEE) for name in ("compare", "picker", "matrix")},
    "compare:progress": Row("comparison", get=SEE),
    # Looking is asking for it: whoever may see both runs may try again.
    "compare:retry": Row("comparison", post="login 404 302 302 302 404"),
    "compare:worst": Row("predictionrun", get=SEE),
    "compare:unsteady": Row("training", get=SEE),
    "inference:try": Row("project", get=SEE, post=EDIT_422),
    "inference:batch_new": Row("project", get=EDIT, post=EDIT_422),
    "inference:dataset_new": Row("project", get=EDIT, post=EDIT_422),
    "inference:list": Row("project", get=SEE),
    "inference:job": Row("inference", get=SEE),
    "inference:answer": Row("inference", get=SEE),
    # No checkpoint is named.
    "inference:beside": Row("inference", post="login 404 403 404 404 404"),
    **{f"inference:{name}": Row("inference", post=EDIT_DO) for name in ("cancel", "repeat", "delete")},
    "inference:download": Row("inference_download", get=SEE),
    "inference:result": Row("inference_result", get=SEE),
    "inference:image": Row("inference_result", get=SEE),
    "inference:thumb": Row("inference_thumb", get=SEE),
    "inference:picture": Row("inference_result", get=SEE),
    # There is no classifier's answer in the world.
    "inference:heat": Row("inference_result", get="login 404 404 404 404 404"),
    # No dataset is named.
    "inference:keep": Row("inference_result", post="login 404 403 404 404 404"),
}

# Uploads speak tus; the metadata names the file a.json and the project birds, in base64.
TUS = {"Tus-Resumable": "1.0.0"}
NEW_UPLOAD = TUS | {"Upload-Length": "10", "Upload-Metadata": "filename YS5qc29u,project YmlyZHM="}

API = {
    "schema": api(get=OPEN, post=OPEN_NO, put=OPEN_NO, patch=OPEN_NO, delete=OPEN_NO),
    "api-docs": api(get=OPEN, post=OPEN_NO, put=OPEN_NO, patch=OPEN_NO, delete=OPEN_NO),
    "project-list": api(get=API_ALL),
    "project-detail": api("project", get=API_SEE),
    "dataset-list": api(
        get=API_ALL, post="401 400 403 201 201 400", body={"project": "birds", "name": "Owls", "task_type": "detection"}
    ),
    "dataset-detail": api("dataset", get=API_SEE, patch=API_EDIT, delete=API_DELETE, body={"name": "Owls"}),
    "sample-list": api("in_dataset", get=API_SEE),
    "sample-detail": api("sample_in_dataset", get=API_SEE),
    "sample-annotations": api("annotations", get=API_SEE),
    "run-list": api("in_dataset", get=API_SEE),
    "run-detail": api("run_in_dataset", get=API_SEE, delete=API_DELETE),
    # Without a source these are told what is missing.
    "dataset-import-list": api("in_dataset", get=API_SEE, post=API_400),
    "prediction-create": api("in_dataset", post=API_400),
    # The imports of the world have failed: there is nothing to cancel, but they can be tried again, also in full at once.
    **{
        f"{kind}-{name}": api(of, **answers)
        for kind, of in [("import", "datasetimport"), ("prediction-import", "predictionimport")]
        for name, answers in [
            *((name, {"get": API_SEE}) for name in ("detail", "rejects")),
            *((name, {"post": API_ACCEPT}) for name in ("confirm", "retry")),
            ("cancel", {"post": "401 404 403 409 409 404"}),
        ]
    },
    "set-list": api(get=API_ALL, post="401 400 403 201 201 400", body={"project": "birds", "name": "Owls"}),
    "set-detail": api("set", get=API_SEE, patch=API_EDIT, delete=API_DELETE, body={"description": "Owls"}),
    "set-items": api("set_items", get=API_SEE),
    "set-draft": api("set", post=API_EDIT, patch=API_EDIT, delete=API_DELETE, body={"validators": [{"type": "is_json"}]}),
    "set-draft-items": api("set", post=API_EDIT, delete=API_EDIT, body={"items": [{"prompt": "why?"}]}),
    "set-draft-item": api("draft_item", patch=API_EDIT, delete=API_DELETE, body={"references": ["5"]}),
    # The draft holds what the version before holds.
    "set-publish": api("set", post="401 404 403 409 409 404"),
    "set-diff": api("set", get=API_SEE),
    "set-import-file": api("set", post=API_EDIT, body={"content": '{"prompt": "why?"}', "mode": "add"}),
    "set-export-file": api("set", get=API_SEE),
    # Looking for leaks changes nothing; without data there is nothing to look through.
    "set-leakage": api("set", get=API_SEE, post="401 404 400 400 400 404"),
    # Editors make jobs; without a project they make them in their own.
    "checkpoint-list": api(get=API_ALL, post="401 400 400 400 400 400"),
    "checkpoint-detail": api("checkpoint", get=API_SEE, delete=API_DELETE),
    "training-jobs": api(get=API_ALL, post=API_MAKE, body={"project": "birds", "job_id": "weekly"}),
    "training-job": api("job_id", get=API_SEE, patch=API_EDIT, delete=API_DELETE, body={"name": "Weekly"}),
    # Whoever may not see the job makes one of that id in a project of their own.
    "training-start": api("job_id", post="401 200 403 200 200 200", body={"attempt": 1}),
    "training-sets": api(
        "job_id", post=API_EDIT, body={"name": "drawn", "items": [{"item_key": "a", "sample_index": 0, "prompt": "why?"}]}
    ),
    "training-progress": api("job_id", post=API_EDIT, body={"epoch": 2, "status": "completed"}),
    "training-checkpoints": api("job_id", post=API_EDIT, body={"path": "/out/checkpoint-10", "epoch": 1, "step": 10}),
    "training-predictions": api(
        post=API_EDIT,
        body={
            "job_id": "nightly",
            "epoch": 2,
            "step": 20,
            "predictions": [{"sample_index": 0, "prompt": "p", "prediction": "q"}, {}],
        },
    ),
    "training-runs": api("job_id", get=API_SEE),
    "training-answers": api("job_id", get=API_SEE),
    "training-epochs": api("job_id", get=API_SEE),
    "training-trends": api("job_id", get=API_SEE),
    "training-sample-trend": api("job_sample", get=API_SEE),
    # Without runs it is told what is missing.
    "compare": api(get="401 400 400 400 400 400"),
    "alert-list": api(get=API_ALL),
    "alert-detail": api("alert", get=API_SEE),
    "alert-acknowledge": api("alert", post=API_EDIT),
    "alert-resolve": api("alert", post=API_EDIT, body={"reason": "seen"}),
    "alert-rule-list": api(
        get=API_ALL,
        post="401 404 403 201 201 404",
        body={"project": "birds", "name": "quiet", "kind": "silence", "job": "nightly", "threshold": 5},
    ),
    "alert-rule-detail": api("alertrule", get=API_SEE, patch=API_EDIT, delete=API_DELETE, body={"threshold": 0.2}),
    "alert-rule-test": api("alertrule", post=API_ACCEPT),
    "alert-rule-deliveries": api("alertrule", get=API_SEE),
    "alert-channel-list": api(
        get=API_ALL, post=API_MAKE, body={"project": "birds", "name": "ops", "kind": "email", "target": "ops@example.org"}
    ),
    "alert-channel-detail": api("alertchannel", get=API_ONLY_EDIT, patch=API_EDIT, delete=API_DELETE, body={"name": "ops"}),
    "alert-channel-secret": api("alertchannel", post=API_EDIT),
    "alert-channel-test": api("alertchannel", post=API_ACCEPT),
    "alert-channel-deliveries": api("alertchannel", get=API_ONLY_EDIT),
    "gate-list": api(
        get=API_ALL,
        post=API_MAKE,
        body={"project": "birds", "name": "nightly", "job": "nightly", "limits": [{"metric": "exact_match", "limit": 0.9}]},
    ),
    "gate-detail": api("named_gate", get=API_SEE, patch=API_EDIT, delete=API_DELETE, body={"least_items": 5}),
    "gate-check": api("named_gate", post=API_EDIT, body={"job_id": "nightly"}),
    "gate-checks-list": api("named_gate", get=API_SEE),
    # Without an image or a checkpoint these are told what is missing.
    "inference-single": api(post="401 400 400 400 400 400"),
    "inference-batch": api(post="401 400 400 400 400 400"),
    "inference-jobs": api(get=API_ALL, post="401 400 400 400 400 400"),
    "inference-job": api("inference", get=API_SEE, delete=API_DELETE),
    "inference-results": api("inference", get=API_SEE),
    "inference-cancel": api("inference", post=API_ACCEPT),
    "training-test-runs": api("job_id", get=API_SEE),
    "test-runs": api(get=API_ALL, post="401 400 400 400 400 400"),
    "test-run": api("testrun", get=API_SEE, delete=API_DELETE),
    # The world's is completed: there is nothing to cancel or to try again.
    **{f"test-run-{name}": api("testrun", post="401 404 403 409 409 404") for name in ("cancel", "retry")},
    **{
        f"test-run-{name}": api("testrun", get=API_SEE)
        for name in ("images", "operating-point", "reconciliation", "thresholds")
    },
    # What these are asked for is missing.
    **{f"test-run-{name}": api("testrun", get="401 404 400 400 400 404") for name in ("confusion", "objects", "export")},
    "compare-test-runs": api(get="401 400 400 400 400 400"),
    "compare-test-objects": api(get="401 400 400 400 400 400"),
    "datasets:uploads": api(post=API_MAKE, headers=NEW_UPLOAD),
    # The upload is the editor's, and nobody else's.
    "datasets:upload": api("upload", patch="401 404 404 415 404 404", delete="401 404 404 204 404 404", headers=TUS),
}

# The admin is for superusers; what they may do beside looking, by table. Rows that operations keep true are only looked at.
ADMIN_TABLES = {
    "auth_group": {"add", "change", "delete"},
    "accounts_user": {"add", "change", "delete"},
    "accounts_project": {"change"},
    "accounts_membership": {"add", "change", "delete"},
    "accounts_invitation": {"add", "change", "delete"},
    "accounts_apitoken": {"delete"},
    "datasets_dataset": {"change", "delete"},
    "datasets_split": set(),
    "datasets_category": set(),
    "datasets_sample": set(),
    "datasets_annotation": set(),
    "datasets_datasetimport": set(),
    "datasets_upload": set(),
    "predictions_predictionrun": {"change", "delete"},
    "predictions_predictedobject": set(),
    "predictions_predictionimport": set(),
    "predictions_trainingjob": {"change", "delete"},
    "predictions_textprediction": set(),
    "predictions_predictionset": {"add", "change", "delete"},
    "predictions_predictionsetversion": {"change"},
    "predictions_predictionsetitem": set(),
    "inference_trustedweights": {"add", "change", "delete"},
}


def staff(answer: int) -> str:
    return f"login admin admin admin admin {answer}"


def site(answer: int) -> str:
    """Pages of the admin as a whole send everybody to its own log-in."""
    return f"admin admin admin admin admin {answer}"


def _admin_rows(table: str, allowed: set[str]) -> dict[str, Row]:
    add, change, delete = (action in allowed for action in ("add", "change", "delete"))
    # A form with nothing in it comes back with what is missing; one without fields is saved as it is.
    changed = 302 if table in ("predictions_predictionrun", "inference_trustedweights") else 200
    return {
        f"admin:{table}_changelist": Row(get=staff(200), post=staff(200)),
        f"admin:{table}_add": Row(get=staff(200 if add else 403), post=staff(200 if add else 403)),
        f"admin:{table}_history": Row(f"admin {table}", get=staff(200), post=staff(200)),
        f"admin:{table}_change": Row(f"admin {table}", get=staff(200), post=staff(changed if change else 403)),
        f"admin:{table}_delete": Row(
            f"admin {table}", get=staff(200 if delete else 403), post=staff(302 if delete else 403), body={"post": "yes"}
        ),
    }


ADMIN = {
    "admin:index": Row(get=site(200), post=site(200)),
    "admin:login": Row(get="200 200 200 200 200 302", post="200 200 200 200 200 200"),
    # Whoever is not staff is not logged in there, and sent to its front page.
    "admin:logout": Row(get="admin 302 302 302 302 405", post="admin 302 302 302 302 login"),
    "admin:password_change": Row(get=site(200), post=site(200)),
    "admin:password_change_done": Row(get=site(200), post=site(405)),
    "admin:autocomplete": Row(get=site(403), post=site(405)),
    "admin:jsi18n": Row(get=site(200), post=site(405)),
    "admin:view_on_site": Row("view_on_site", get=site(302), post=site(302)),
    "admin:app_list": Row("app", get=site(200), post=site(200)),
    "admin:predictions_predictionset_import": Row("set", get=staff(200), post=staff(200)),
    "admin:auth_user_password_change": Row("user", get=staff(200), post=staff(200)),
} | {name: row for table, allowed in ADMIN_TABLES.items() for name, row in _admin_rows(table, allowed).items()}

TABLE = PAGES | API | ADMIN
