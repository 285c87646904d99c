from datasets.commands import DatasetImportCommand


class Command(DatasetImportCommand):
    help = "Import YOLO ground truth into a split of a dataset, all of it or nothing."
    importer = "yolo"
    default_task = "detection"
    source_help = "A data.yaml, or the folder that holds it, or a ZIP of that."
