"""Metrics of the data platform: what is measured, and the forms in which it leaves.

Belongs here: the list of metrics, and the forms of CloudWatch, Prometheus and OpenTelemetry. Does not: measuring (defs/automation/),
metrics of the API (serving/gateway/metrics.py), alerts (notifications/), alarms on metrics (infra/alarms.py).
"""
