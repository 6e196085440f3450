"""The words and tables that the world is made of: languages, countries, categories, names, prices.

Belongs here: plain constants. Does not: anything that is drawn or computed (world.py).
"""

from typing import NamedTuple


class Country(NamedTuple):
    """A market: its share of readers, language, hours from UTC and monthly price."""

    code: str
    share: float
    language: str
    utc_offset: int
    currency: str
    price: float


COUNTRIES = (
    Country("US", 0.24, "en", -6, "USD", 12.99),
    Country("GB", 0.14, "en", 0, "GBP", 9.99),
    Country("IN", 0.07, "en", 5, "INR", 399.0),
    Country("AU", 0.05, "en", 10, "AUD", 16.99),
    Country("DE", 0.16, "de", 1, "EUR", 12.99),
    Country("AT", 0.03, "de", 1, "EUR", 12.99),
    Country("CH", 0.03, "de", 1, "CHF", 13.99),
    Country("ES", 0.06, "es", 1, "EUR", 9.99),
    Country("MX", 0.06, "es", -6, "MXN", 149.0),
    Country("FR", 0.08, "fr", 1, "EUR", 11.99),
)
LANGUAGES = ("en", "de", "es", "fr")
LANGUAGE_SHARES = (0.55, 0.23, 0.13, 0.09)

CATEGORIES = (
    "business",
    "psychology",
    "productivity",
    "leadership",
    "money",
    "health",
    "relationships",
    "science",
    "history",
    "philosophy",
    "politics",
    "technology",
    "biography",
    "parenting",
    "creativity",
    "mindfulness",
)
ADJECTIVES = (
    "Quiet",
    "Honest",
    "Hidden",
    "Simple",
    "Brave",
    "Patient",
    "Curious",
    "Second",
    "Open",
    "Useful",
    "Early",
    "Slow",
)
NOUNS = (
    "Habit",
    "Mind",
    "Ledger",
    "Compass",
    "Table",
    "Question",
    "Garden",
    "Engine",
    "Promise",
    "Map",
    "Hour",
    "Voice",
    "Bridge",
)
FORENAMES = (
    "Ada",
    "Ben",
    "Chloe",
    "Diego",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kim",
    "Lena",
    "Mira",
    "Noor",
    "Omar",
    "Pia",
)
SURNAMES = (
    "Adler",
    "Brandt",
    "Costa",
    "Duval",
    "Egger",
    "Fischer",
    "Garcia",
    "Haas",
    "Ivers",
    "Jansen",
    "Keller",
    "Lang",
    "Moreau",
    "Novak",
)

# How likely each local hour is to see a session: a morning commute, lunch, and the evening.
HOURS = (8, 4, 3, 2, 3, 10, 26, 48, 52, 38, 30, 32, 42, 38, 30, 30, 34, 44, 52, 58, 66, 70, 52, 24)
WEEKDAYS = (1.08, 1.06, 1.04, 1.0, 0.94, 0.9, 0.98)  # Monday first
PLATFORMS = ("web", "ios", "android")
