-- Which columns has table sword_purchases?
-- TODO 3: the same for the other table.
select * from sword_purchases limit 1;
