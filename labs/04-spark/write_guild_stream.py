"""Stream the guilds that players join from Kafka into parquet files on HDFS, every ten seconds.

Run it with `spark-submit write_guild_stream.py`.
"""

import os

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

# The keys of an event as Flask writes them; JSON keys are matched letter by letter.
# TODO 1: two keys are missing, the player's program and the guild.
EVENT = "Accept string, Host string, event_type string"


def columns(event: Column) -> list[Column]:
    """The columns of the table, in its order: Presto reads parquet by position, not by name."""
    return [
        F.col("raw_event"),
        F.col("timestamp"),
        event["Accept"].alias("Accept"),
        event["Host"].alias("Host"),
        # TODO 2: here comes User_Agent (the table's name for it: a hyphen is awkward in SQL), and guild at the end
        event["event_type"].alias("event_type"),
    ]


def main() -> None:
    """Start the stream and wait: it runs until it is stopped."""
    spark = SparkSession.builder.appName("GuildStream").getOrCreate()

    raw_events = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "kafka:29092"))
        .option("subscribe", "events")
        .option("startingOffsets", "earliest")  # only the first start: later ones go on from the checkpoint
        .option("failOnDataLoss", "false")  # go on where a topic was emptied or made anew
        .load()
        .select(F.col("value").cast("string").alias("raw_event"), F.col("timestamp").cast("string"))
    )

    # TODO 3: every message comes through, also other events and what is no JSON. Keep events of type join_guild.
    guild_joins = raw_events.withColumn("event", F.from_json("raw_event", EVENT)).select(columns(F.col("event")))

    # TODO 4: the rows only go to this program's log, every half minute. They belong into parquet files, compressed
    # with snappy, in /tmp/guild_joins, every ten seconds, with a checkpoint that is this stream's own.
    sink = (
        guild_joins.writeStream.format("console")
        .option("truncate", "false")
        .trigger(processingTime="30 seconds")
        .start()
    )
    sink.awaitTermination()


if __name__ == "__main__":
    main()
