"""Who gave a model its role, in words."""

_AUTOMATIC = {"gate": "the gate", "canary": "the canary"}


def chooser_text(chosen_by: str) -> str:
    """Return `chosen_by` of `published.model_roles` in words; it names no person.

    >>> chooser_text("gate"), chooser_text("canary"), chooser_text("person")
    ('the gate', 'the canary', 'a person')
    """
    return _AUTOMATIC.get(chosen_by, "a person")
