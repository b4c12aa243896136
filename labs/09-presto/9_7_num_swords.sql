-- How many swords have been purchased?
-- TODO 6: this is never more than the number of kinds of swords.
select count(distinct sword_type) num_swords from sword_purchases;
