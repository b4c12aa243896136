-- Which columns has table guild_joins?
-- TODO 2: this is a row. Names and types of the columns are wanted.
select * from guild_joins limit 1;
