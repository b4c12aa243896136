"""Stream the guilds that players join from Kafka into parquet files on HDFS, every ten seconds.

Run it with `spark-submit write_guild_stream.py`.
"""

import os

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

# The keys of an event as Flask writes them; JSON keys are matched letter by letter.
EVENT = "Accept string, Host string, `User-Agent` string, event_type string, guild string"


def columns(event: Column) -> list[Column]:
    """The columns of the table, in its order: Presto reads parquet by position, not by name."""
    return [
        F.col("raw_event"),
        F.col("timestamp"),
        event["Accept"].alias("Accept"),
        event["Host"].alias("Host"),
        event["User-Agent"].alias("User_Agent"),
        event["event_type"].alias("event_type"),
        event["guild"].alias("guild"),
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

    # An event that is no JSON gives NULLs, which are not equal to the event type either, and drops out.
    guild_joins = (
        raw_events.withColumn("event", F.from_json("raw_event", EVENT))
        .where(F.col("event.event_type") == "join_guild")
        .select(columns(F.col("event")))
    )

    sink = (
        guild_joins.writeStream.format("parquet")
        .option("compression", "snappy")
        .option("path", "/tmp/guild_joins")
        .option("checkpointLocation", "/tmp/checkpoints_for_guild_joins")  # one for each stream
        .trigger(processingTime="10 seconds")
        .start()
    )
    sink.awaitTermination()


if __name__ == "__main__":
    main()
