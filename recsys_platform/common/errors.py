"""The errors that a user sees: one clear sentence of what is wrong, where, and what to do."""

import errno

_FULL = {errno.ENOSPC, errno.EDQUOT}


class RecsysError(Exception):
    """Something the user can mend; its message is shown without a traceback."""


class SettingsError(RecsysError):
    """A setting is unknown, missing or has a bad value."""


class HubError(RecsysError):
    """The data hub cannot be read or written, or an object in it breaks the layout."""


class WarehouseError(RecsysError):
    """The warehouse cannot be opened, or is held by another writer."""


class WarehouseHeldError(WarehouseError):
    """Another process has the warehouse open; later it can be opened."""


class AttributesError(RecsysError):
    """An attribute endpoint did not deliver a complete snapshot."""


class InputError(RecsysError):
    """A file given by the user is not what it should be."""


class PublishError(RecsysError):
    """A table is not fit to be published."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that a disk has no room left, as the system or SQLite says it."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in _FULL) or "disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
