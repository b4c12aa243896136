-- Describe the two folders of parquet files as tables. Hive keeps only the description; the data stay where they are.
-- External: dropping such a table leaves its files alone.
-- `timestamp` has back quotes because it is a reserved word since Hive 1.2 (the report's Hive of 2020 was older).
-- The columns stand in the order of the parquet files, because Presto reads them by position.
-- IF NOT EXISTS: run it twice without harm.

create external table if not exists default.guild_joins (
    raw_event string,
    `timestamp` string,
    Accept string,
    Host string,
    User_Agent string,
    event_type string,
    guild string
)
stored as parquet
location '/tmp/guild_joins'
tblproperties ("parquet.compress"="SNAPPY");

create external table if not exists default.sword_purchases (
    raw_event string,
    `timestamp` string,
    Accept string,
    Host string,
    User_Agent string,
    event_type string,
    sword_type string,
    sword_cost int
)
stored as parquet
location '/tmp/sword_purchases'
tblproperties ("parquet.compress"="SNAPPY");
