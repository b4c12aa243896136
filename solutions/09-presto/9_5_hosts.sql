-- How many users have joined a guild?
select count(distinct(host)) num_hosts from guild_joins;
