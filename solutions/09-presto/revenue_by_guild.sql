-- How much did the members of each guild spend on swords?
-- Members and buyers are counted before they are joined: joined row by row, a player
-- who joined a guild twice would have paid twice. A player of two guilds counts for both.
with members as (
    select distinct host, guild from guild_joins where guild is not null
),
spent as (
    select host, sum(sword_cost) as revenue from sword_purchases group by host
)
select guild, coalesce(sum(revenue), 0) as revenue
from members left join spent on members.host = spent.host
group by guild
order by 2 desc, 1;
