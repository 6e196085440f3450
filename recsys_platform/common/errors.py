"""The errors that a user sees: one sentence that says what is wrong, where, and what to do."""

import errno

_FULL = {errno.ENOSPC, errno.EDQUOT}


class RecsysError(Exception):
    """An error that the user can fix; the message is shown without a traceback."""


class SettingsError(RecsysError):
    """A setting is unknown, missing or has a bad value."""


class HubError(RecsysError):
    """The data hub cannot be read or written, or an object does not follow its layout."""


class WarehouseError(RecsysError):
    """The warehouse cannot be opened, or another process is writing it."""


class WarehouseHeldError(WarehouseError):
    """Another process has the warehouse open; try again later."""


class SaltError(RecsysError):
    """The salt in the settings is not the one that hashes of the warehouse are made with."""


class AttributesError(RecsysError):
    """An attribute endpoint did not deliver a complete snapshot."""


class InputError(RecsysError):
    """A file or option given by the user is not valid."""


class PublishError(RecsysError):
    """A table breaks its contract and cannot be published."""


class BudgetError(RecsysError):
    """A rebuild would exceed the budget of the month."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is a full disk, as reported by the system or by SQLite."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in _FULL) or "disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
