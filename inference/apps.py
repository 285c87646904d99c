from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"

    def ready(self) -> None:
        from datasets import recovery
        from inference.export_jobs import register_soon
        from inference.models import CheckpointExport, InferenceJob
        from predictions import training

        recovery.BELLS[InferenceJob] = "inference.tasks.run_inference"
        recovery.BELLS[CheckpointExport] = "inference.tasks.run_export"
        training.WHEN_SAVED.append(register_soon)
