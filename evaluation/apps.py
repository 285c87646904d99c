from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"

    def ready(self) -> None:
        from datasets import recovery
        from evaluation.models import Comparison, TestRun

        recovery.BELLS[Comparison] = "evaluation.tasks.run_comparison"
        recovery.BELLS[TestRun] = "evaluation.tasks.run_test"
