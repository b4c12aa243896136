-- How many users have joined a guild?
-- TODO 4: a user who joins twice is counted twice.
select count(host) num_hosts from guild_joins;
