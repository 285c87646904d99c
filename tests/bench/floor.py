"""The floor that imports are held against: a bare ijson loop that feeds psycopg's binary COPY, into a table of the same
columns, foreign keys and indexes. No checks, no counts, no row of an import. Run as a process: floor.py truth|predictions FILE."""

import os
import sys
import time
from pathlib import Path

import ijson
import psycopg
from psycopg.types.json import Jsonb

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

PREDICTED = ["int8", "int8", "int8", *["float8"] * 6, "jsonb", "float8[]"]
SAMPLE = ["int8", "int8", "int8", "text", "text", "int4", "int4", "text", "varchar", "int2", "bool", "int4"]
ANNOTATION = ["int8", "int8", "text", *["float8"] * 5, "varchar", "bool", "jsonb", "float8[]"]


def connect() -> psycopg.Connection:
    from django.conf import settings

    if settings.DATABASE_URL:
        return psycopg.connect(settings.DATABASE_URL)
    from config import embedded

    fields = embedded.postgres_settings(settings.DATA_DIR)
    return psycopg.connect(
        host=fields["HOST"], port=fields["PORT"], user=fields["USER"], password=fields["PASSWORD"], dbname="touchstone"
    )


def like(cursor: psycopg.Cursor, table: str) -> str:
    """An empty table with that one's columns, indexes and foreign keys."""
    name = f"floor_{table}"
    cursor.execute(f"DROP TABLE IF EXISTS {name} CASCADE")
    cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
    cursor.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'", [table]
    )
    for (definition,) in cursor.fetchall():
        cursor.execute(f"ALTER TABLE {name} ADD {definition}")
    return name


def ids(cursor: psycopg.Cursor, table: str) -> dict[int, int]:
    cursor.execute(
        f"SELECT external_id::bigint, t.id FROM {table} t JOIN datasets_dataset d ON d.id = t.dataset_id WHERE d.slug = 'bench'"
    )
    return dict(cursor.fetchall())


def predictions(connection: psycopg.Connection, path: str) -> None:
    cursor = connection.cursor()
    name = like(cursor, "predictions_predictedobject")
    samples, categories = ids(cursor, "datasets_sample"), ids(cursor, "datasets_category")
    cursor.execute(
        "INSERT INTO predictions_predictionrun (dataset_id, name, origin, status, prediction_count, skipped_count, skipped, "
        "category_counts, created_at, project_id, is_current, checkpoint, generation_params, totals, score_version, validator_version, changed_at) "
        "SELECT id, 'floor', 'import', 'running', 0, 0, '{}', '{}', now(), project_id, true, '', '{}', '{}', '', '', now() FROM datasets_dataset "
        "WHERE slug = 'bench' RETURNING id"
    )
    run = cursor.fetchone()[0]
    columns = "run_id, sample_id, category_id, score, x, y, width, height, area, segmentation, keypoints"
    with open(path, "rb") as file, cursor.copy(f"COPY {name} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(PREDICTED)
        for row in ijson.items(file, "item", use_float=True):
            x, y, width, height = row["bbox"]
            sample, category = samples[row["image_id"]], categories[row["category_id"]]
            copy.write_row((run, sample, category, row["score"], x, y, width, height, None, None, None))
    connection.commit()
    cursor.execute(f"DROP TABLE {name}")
    cursor.execute("DELETE FROM predictions_predictionrun WHERE id = %s", [run])
    connection.commit()


def truth(connection: psycopg.Connection, path: str) -> None:
    cursor = connection.cursor()
    cursor.execute("SELECT id FROM datasets_dataset WHERE slug = 'bench'")
    dataset = cursor.fetchone()[0]
    cursor.execute("SELECT id FROM datasets_split WHERE dataset_id = %s", [dataset])
    split = cursor.fetchone()[0]
    categories = ids(cursor, "datasets_category")
    sample_table = like(cursor, "datasets_sample")
    annotation_table = like(cursor, "datasets_annotation")
    cursor.execute(f"ALTER TABLE {annotation_table} DROP CONSTRAINT {annotation_table}_sample_id_fkey")
    cursor.execute(f"ALTER TABLE {annotation_table} ADD FOREIGN KEY (sample_id) REFERENCES {sample_table} (id)")
    keys: dict[int, int] = {}
    columns = "id, dataset_id, split_id, external_id, file_name, width, height, image, image_format, exif_orientation, exif_applied, annotation_count"
    with open(path, "rb") as file, cursor.copy(f"COPY {sample_table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(SAMPLE)
        for key, row in enumerate(ijson.items(file, "images.item", use_float=True), start=1):
            keys[row["id"]] = key
            copy.write_row(
                (key, dataset, split, str(row["id"]), row["file_name"], row["width"], row["height"], "", "", 1, True, 0)
            )
    with open(path, "rb") as file:
        list(ijson.items(file, "categories.item", use_float=True))
    columns = "sample_id, category_id, external_id, x, y, width, height, area, area_rule, is_crowd, segmentation, keypoints"
    with open(path, "rb") as file, cursor.copy(f"COPY {annotation_table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(ANNOTATION)
        for row in ijson.items(file, "annotations.item", use_float=True):
            mask = row.get("segmentation")
            copy.write_row(
                (
                    keys[row["image_id"]], categories[row["category_id"]], str(row["id"]), *row["bbox"], row["area"], "file",
                    bool(row["iscrowd"]), Jsonb(mask) if mask else None, None,
                )
            )  # fmt: skip
    connection.commit()
    cursor.execute(f"DROP TABLE {annotation_table}, {sample_table}")
    connection.commit()


if __name__ == "__main__":
    started = time.perf_counter()
    with connect() as opened:
        {"truth": truth, "predictions": predictions}[sys.argv[1]](opened, sys.argv[2])
    print(time.perf_counter() - started)
