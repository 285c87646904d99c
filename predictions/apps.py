from django.apps import AppConfig


class PredictionsConfig(AppConfig):
    name = "predictions"

    def ready(self) -> None:
        from datasets import importing, recovery
        from predictions import runs
        from predictions.models import LeakageCheck, PredictionImport

        importing.AFTER_REMOVAL.append(runs.recount_runs)
        recovery.BELLS[PredictionImport] = "predictions.tasks.run_prediction_import"
        recovery.BELLS[LeakageCheck] = "predictions.tasks.run_leakage_check"
