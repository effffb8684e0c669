"""Kafka as producers see it. Only the modules of this package import kafka-python.

`RecordProducer` is the port that the rest of `producers` writes against; `KafkaRecordProducer` is the real one.
`CompactedReader` follows a compacted topic; `TopicAdmin` creates and describes topics.
"""

from producers.kafka_client.admin import TopicAdmin, TopicState
from producers.kafka_client.producer import KafkaRecordProducer, ProducerLimits
from producers.kafka_client.reader import CompactedReader
from producers.kafka_client.records import Position, Record, RecordProducer, RecordTooLarge

__all__ = [
    "CompactedReader",
    "KafkaRecordProducer",
    "Position",
    "ProducerLimits",
    "Record",
    "RecordProducer",
    "RecordTooLarge",
    "TopicAdmin",
    "TopicState",
]
