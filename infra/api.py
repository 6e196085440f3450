"""The recommendation API as API Gateway knows it: which requests there are, and which answers it may keep."""

ENDPOINTS = (
    ("GET", "/v1/users/{user_id}/recommendations"),
    ("POST", "/v1/recommendations"),
    ("GET", "/v1/users/{user_id}/home"),
    ("POST", "/v1/rank"),
    ("GET", "/v1/books/{book_id}/similar"),
    ("GET", "/v1/popular"),
    ("POST", "/v1/events"),
    ("GET", "/v1/recommendations/{request_id}/explanation"),
)
"""With a key. State and metrics of a gateway (`/healthz`, `/readyz`, `/metrics`) are not for the world."""
OPEN = (("GET", "/openapi.json"), ("GET", "/docs"))
"""Without a key, and kept for CACHE_SECONDS: the same for everybody."""
CACHE_SECONDS = 300
