"""The catalogue: objects, records, their inputs, source files and the quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "objects",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("suffix", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_objects"),
    )
    op.create_table(
        "records",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("valid_start", sa.DateTime()),
        sa.Column("valid_end", sa.DateTime()),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
        sa.Column("superseded_at", sa.DateTime()),
        sa.Column("stale_at", sa.DateTime()),
        sa.Column("stale_because", sa.Text()),
        sa.Column("config_digest", sa.String(64), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_records"),
        sa.ForeignKeyConstraint(["digest"], ["objects.digest"], name="fk_records_digest"),
    )
    for column in ("key", "kind", "digest", "recorded_at"):
        op.create_index(f"ix_records_{column}", "records", [column])
    op.create_index(
        "uq_records_current_key",
        "records",
        ["key"],
        unique=True,
        sqlite_where=sa.text("superseded_at IS NULL"),
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_table(
        "record_inputs",
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "digest", name="pk_record_inputs"),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name="fk_record_inputs_record_id"),
    )
    op.create_index("ix_record_inputs_digest", "record_inputs", ["digest"])
    op.create_table(
        "source_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("noted_at", sa.DateTime(), nullable=False),
        sa.Column("object_digests", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_source_files"),
        sa.UniqueConstraint(
            "source_id", "sha256", "outcome", name="uq_source_files_source_id_sha256_outcome"
        ),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("quarantined_at", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.UniqueConstraint("sha256", "name", name="uq_quarantine_sha256_name"),
    )
