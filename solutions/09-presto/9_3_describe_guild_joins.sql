-- Which columns has table guild_joins?
describe guild_joins;
