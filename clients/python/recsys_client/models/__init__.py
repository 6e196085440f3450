"""Contains all the data models used in inputs/outputs"""

from .book import Book
from .event import Event
from .event_batch import EventBatch
from .event_properties import EventProperties
from .event_verdict import EventVerdict
from .event_verdicts import EventVerdicts
from .explanation import Explanation
from .explanation_source import ExplanationSource
from .guest_event import GuestEvent
from .guest_request import GuestRequest
from .health import Health
from .health_models import HealthModels
from .home import Home
from .item import Item
from .problem import Problem
from .rank_request import RankRequest
from .ranked import Ranked
from .ranked_source import RankedSource
from .recommended import Recommended
from .recommended_book import RecommendedBook
from .recommended_source import RecommendedSource
from .shelf import Shelf
from .shelf_source import ShelfSource

__all__ = (
    "Book",
    "Event",
    "EventBatch",
    "EventProperties",
    "EventVerdict",
    "EventVerdicts",
    "Explanation",
    "ExplanationSource",
    "GuestEvent",
    "GuestRequest",
    "Health",
    "HealthModels",
    "Home",
    "Item",
    "Problem",
    "Ranked",
    "RankedSource",
    "RankRequest",
    "Recommended",
    "RecommendedBook",
    "RecommendedSource",
    "Shelf",
    "ShelfSource",
)
