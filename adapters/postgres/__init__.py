"""The system of record: PostgreSQL, embedded or by DSN."""
