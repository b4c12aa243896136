-- Which guild is the most popular?
-- TODO 5: every guild has one member, and the first line is not the answer to the question.
select guild, count(distinct guild) as num_members from guild_joins group by guild;
