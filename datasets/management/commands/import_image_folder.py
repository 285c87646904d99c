from datasets.commands import DatasetImportCommand


class Command(DatasetImportCommand):
    help = "Import ImageFolder ground truth into a split of a dataset, all of it or nothing."
    importer = "image_folder"
    default_task = "classification"
    source_help = "A folder with one folder of images per class, or a ZIP of that."
