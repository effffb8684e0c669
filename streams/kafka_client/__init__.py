"""The meter's only use of aiokafka: reading ranges of logs, and fenced, transactional publishing."""

from streams.kafka_client.connection import TooLarge
from streams.kafka_client.publisher import FencedPublisher
from streams.kafka_client.reader import LogReader
from streams.kafka_client.topic_list import partition_counts
from streams.kafka_client.topics_reader import TopicsReader

__all__ = ["FencedPublisher", "LogReader", "TooLarge", "TopicsReader", "partition_counts"]
