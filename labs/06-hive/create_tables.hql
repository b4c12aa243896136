-- Describe the two folders of parquet files as tables. Hive keeps only the description; the data stay where they are.
-- Hive stops at the first word TODO_N: put what is missing in its place.
--   TODO_1  a word: when the table is dropped, its files must stay
--   TODO_2  words: this file may be run twice
--   TODO_3  the other columns, in the order in which lab 4 writes them (one of them has a name that Hive reserves)
--   TODO_4  the format of the files
--   TODO_5  the property that names the compression, as in the report

create TODO_1 table TODO_2 default.guild_joins (
    raw_event string,
    TODO_3
)
stored as TODO_4
location '/tmp/guild_joins'
tblproperties (TODO_5);

-- TODO_6: the table of the swords
create external table default.sword_purchases (TODO_6);
