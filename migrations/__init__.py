"""The database's schema, as plain SQL files that yoyo applies in the order of their names, each with its rollback.

The files lie in `core/`, because yoyo would take an `__init__.py` beside them for a migration.
"""
