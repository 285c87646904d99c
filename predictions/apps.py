from django.apps import AppConfig


class PredictionsConfig(AppConfig):
    name = "predictions"

    def ready(self) -> None:
        from datasets import importing, recovery
        from predictions import runs
        from predictions.models import PredictionImport

        importing.AFTER_REMOVAL.append(runs.recount_runs)
        recovery.BELLS[PredictionImport] = "predictions.tasks.run_prediction_import"
