"""The exception tree, by what the caller should do.

    SightlineError
    ├── UsageError            the call was wrong: say where and why, exit 2
    │   ├── SettingsError     a setting is wrong: key, value, reason
    │   ├── ArchiveError      an archive file cannot be read as a whole
    │   └── NotMigrated       the store answers, without the schema of this release
    │       └── NoSchema      it is empty
    ├── Unavailable           try again later; nothing was lost
    │   ├── StoreUnavailable  the system of record does not answer now
    │   └── StoreTaken        another service works on the system of record
    └── Refused               the answer is "no": exit 1
        └── Conflict          it was changed meanwhile, or exists already

What a watched device does wrong is never an exception: it is data (`domain.observation.Answer`).
"""


class SightlineError(Exception):
    """Base of all errors raised on purpose."""


class UsageError(SightlineError):
    """The call was wrong."""


class SettingsError(UsageError):
    """One or more settings are wrong.

    Args:
        problems: one sentence each, starting with the key.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ArchiveError(UsageError):
    """An archive file cannot be read as a whole (not a table, wrong encoding, too large)."""


class NotMigrated(UsageError):
    """The store answers, but its schema is missing, or older than this release."""


class NoSchema(NotMigrated):
    """The store answers, and nothing was ever made in it."""


class Unavailable(SightlineError):
    """Something we need does not answer now; the work is kept and repeated."""


class StoreUnavailable(Unavailable):
    """The system of record does not answer now."""


class StoreTaken(Unavailable):
    """Another service works on the system of record: two would write over each other's rows."""


class Refused(SightlineError):
    """The request was understood and the answer is "no"."""


class Conflict(Refused):
    """The thing was changed meanwhile, or exists already."""
