-- How much did the members of each guild spend on swords?
-- TODO 8: a player who joined a guild twice pays twice here, and a guild whose members bought nothing is missing.
-- A player of two guilds counts for both.
select guild, sum(sword_cost) as revenue
from guild_joins join sword_purchases on guild_joins.host = sword_purchases.host
group by guild
order by 2 desc, 1;
