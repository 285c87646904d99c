from datasets.commands import DatasetImportCommand


class Command(DatasetImportCommand):
    help = "Import labels ground truth into a split of a dataset, all of it or nothing."
    importer = "labels"
    default_task = "classification"
    source_help = "A CSV or JSON Lines file with file_name and label."
