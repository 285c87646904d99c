from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"

    def ready(self) -> None:
        from datasets import recovery
        from inference.models import InferenceJob

        recovery.BELLS[InferenceJob] = "inference.tasks.run_inference"
