from datasets.commands import DatasetImportCommand


class Command(DatasetImportCommand):
    help = "Import COCO ground truth into a split of a dataset, all of it or nothing."
    importer = "coco"
    default_task = "detection"
    source_help = "A COCO annotations file (JSON), or a ZIP with it and its images."
