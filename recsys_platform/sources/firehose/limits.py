"""Limits of one request to Firehose, used by the producer and the emulator.

Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html
"""

from recsys_platform.common.batches import BatchLimits

MAX_RECORDS = 500
"""Records in a batch."""

MAX_RECORD_BYTES = 1_000 * 1024
"""Bytes of one record, before base64."""

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Bytes of all records of a batch together, before base64."""

LIMITS = BatchLimits(MAX_RECORDS, MAX_BATCH_BYTES, MAX_RECORD_BYTES)
"""All of them."""
