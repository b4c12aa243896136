-- How many swords have been purchased?
select count(sword_type) num_swords from sword_purchases;
