"""The sinks' only use of kafka-python: group members, whole-topic readers and an awaited publisher, typed.

Library errors leave as `BrokerUnavailable` (try again) or `OwnershipLost` (drop the work, the new owner has it).
"""

from sinks.kafka_client.consumer import GroupConsumer
from sinks.kafka_client.publisher import Publisher
from sinks.kafka_client.reader import TopicReader
from sinks.kafka_client.records import Outgoing, Record

__all__ = ["GroupConsumer", "Outgoing", "Publisher", "Record", "TopicReader"]
