"""The meter's only use of aiokafka: reading ranges of a log, and fenced, transactional publishing."""

from streams.kafka_client.publisher import FencedPublisher
from streams.kafka_client.reader import LogReader

__all__ = ["FencedPublisher", "LogReader"]
