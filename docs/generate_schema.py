"""Writes monitor/compare/verdict.schema.json from the models of a verdict: `python docs/generate_schema.py`.

A test fails while the file differs from what this writes.
"""

from __future__ import annotations

import json
import sys

from monitor.compare.document import SCHEMA_FILE, schema

if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {SCHEMA_FILE.name}\n")
