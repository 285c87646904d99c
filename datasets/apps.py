from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets"

    def ready(self) -> None:
        from datasets import recovery, tasks
        from datasets.models import DatasetImport

        recovery.BELLS[DatasetImport] = tasks.run_dataset_import.delay
