"""Writing many rows at once: COPY, without a trigger per row."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, models


@contextmanager
def without_row_triggers() -> Iterator[None]:
    """Foreign-key triggers rest for this session, where the database user may say so; elsewhere nothing changes.

    Half of the time of a bulk insert goes into looking each foreign key up, row by row. A caller that may use this has
    read the referenced rows `FOR KEY SHARE` in the same transaction: that is the lock which the triggers would take, and
    it holds until the commit, so that the keys are as safe as with them.
    """
    if not _may_rest_triggers():
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
    try:
        yield
    finally:
        # After an error inside a transaction nothing can be set; its end resets SET LOCAL by itself.
        if not connection.needs_rollback and connection.connection.info.transaction_status.name == "INTRANS":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL session_replication_role = origin")


def _may_rest_triggers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser') = 'on'")
        if cursor.fetchone()[0]:
            return True
        if connection.connection.info.server_version < 150000:
            return False
        cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')")
        return bool(cursor.fetchone()[0])


def locked_keys(rows: "models.QuerySet[models.Model]", *fields: str) -> list[tuple[object, ...]]:
    """The fields of the rows, which nobody can delete until the transaction ends (FOR KEY SHARE, one statement)."""
    sql, parameters = rows.order_by().values_list(*fields).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} FOR KEY SHARE", parameters)
        return list(cursor.fetchall())


def new_ids(table: type[models.Model], count: int) -> list[int]:
    """Fresh primary keys, in order, for rows whose keys must be known before they are copied."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(named.sequence) FROM generate_series(1, %s), "
            "(SELECT pg_get_serial_sequence(%s, 'id')::regclass AS sequence) AS named",
            [count, table._meta.db_table],
        )
        return [row[0] for row in cursor.fetchall()]


def copy_statement(table: type[models.Model], fields: list[str]) -> str:
    """COPY ... FROM STDIN (FORMAT BINARY) for those fields."""
    columns = ", ".join(columns_of(table, fields))
    return f"COPY {table._meta.db_table} ({columns}) FROM STDIN (FORMAT BINARY)"


def columns_of(table: type[models.Model], fields: list[str]) -> list[str]:
    return [str(table._meta.get_field(name).attname) for name in fields]  # type: ignore[union-attr]
