"""Give the topic `events`, which the game writes to and everything else reads from, its two partitions."""

import os
import sys

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

TOPIC = "events"
PARTITIONS = 2
SERVER = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "kafka:29092")


def number_of_partitions(admin: KafkaAdminClient) -> int:
    """How many partitions the topic has now."""
    return len(admin.describe_topics([TOPIC])[0]["partitions"])


def main() -> None:
    """Create the topic, or add what it lacks: a broker that made it by itself gave it one partition only."""
    admin = KafkaAdminClient(bootstrap_servers=SERVER, bootstrap_timeout_ms=10000)
    try:
        admin.create_topics({TOPIC: {"num_partitions": PARTITIONS, "replication_factor": 1}})
        print(f"Created topic {TOPIC} with {PARTITIONS} partitions.")
    except TopicAlreadyExistsError:
        found = number_of_partitions(admin)
        if found < PARTITIONS:
            admin.create_partitions({TOPIC: PARTITIONS})  # the new total, not how many more
            print(f"Topic {TOPIC} had {found} partition and has {PARTITIONS} now.")
        else:
            print(f"Topic {TOPIC} already has {found} partitions: nothing to do.")


if __name__ == "__main__":
    try:
        main()
    except KafkaError as error:
        sys.exit(f"Kafka at {SERVER} did not give topic {TOPIC} its partitions: {error}")
