-- Which guild is the most popular?
select guild, count(guild) as num_members from guild_joins group by guild order by 2 desc, 1;
