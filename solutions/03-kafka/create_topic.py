"""Create the topic `events` that the game writes to and everything else reads from."""

import os
import sys

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

TOPIC = "events"
SERVER = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "kafka:29092")


def main() -> None:
    """Create the topic with one partition: Kafka keeps the order of events only inside a partition."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=SERVER, bootstrap_timeout_ms=10000)
        admin.create_topics({TOPIC: {"num_partitions": 1, "replication_factor": 1}})
        print(f"Created topic {TOPIC} with 1 partition.")
    except TopicAlreadyExistsError:
        partitions = admin.describe_topics([TOPIC])[0]["partitions"]
        print(f"Topic {TOPIC} already exists with {len(partitions)} partition(s): nothing to do.")
    except KafkaError as error:
        sys.exit(f"Kafka at {SERVER} did not create topic {TOPIC}: {error}. Is Kafka up?")


if __name__ == "__main__":
    main()
