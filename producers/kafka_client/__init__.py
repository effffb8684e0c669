"""Kafka as producers see it. Only the modules of this package import kafka-python.

`RecordProducer` is the port that the rest of `producers` writes against; `KafkaRecordProducer` is the real one.
`FencedPublisher` publishes in transactions, one holder of a name at a time.
`CompactedReader` follows a compacted topic; `TopicAdmin` creates and describes topics.
"""

from producers.kafka_client.admin import TopicAdmin, TopicState
from producers.kafka_client.fenced import FencedPublisher
from producers.kafka_client.producer import KafkaRecordProducer, ProducerLimits
from producers.kafka_client.reader import CompactedReader
from producers.kafka_client.records import Position, Record, RecordProducer, RecordTooLarge

__all__ = [
    "CompactedReader",
    "FencedPublisher",
    "KafkaRecordProducer",
    "Position",
    "ProducerLimits",
    "Record",
    "RecordProducer",
    "RecordTooLarge",
    "TopicAdmin",
    "TopicState",
]
