-- Describe the two folders of parquet files as tables. Hive keeps only the description; the data stay where they are.
-- Hive stops at the first gap. Put in what is missing:
--   1  a word: when the table is dropped, its files must stay
--   2  words: this file may be run twice
--   3  the other columns, in the order in which lab 4 writes them (one of them has a name that Hive reserves)
--   4  the format of the files
--   5  the property that names the compression, as in the report
--   6  everything about the other table

create TODO_1 table TODO_2 default.guild_joins (
    raw_event string,
    TODO_3
)
stored as TODO_4
location '/tmp/guild_joins'
tblproperties (TODO_5);

create external table default.sword_purchases (TODO_6);
