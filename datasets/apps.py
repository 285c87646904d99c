from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets"

    def ready(self) -> None:
        from datasets import recovery
        from datasets.models import DatasetImport

        recovery.BELLS[DatasetImport] = "datasets.tasks.run_dataset_import"
