-- Which sword brought in the most revenue, and which was purchased most?
-- TODO 7: both columns of figures are the same. Revenue is coins, not purchases, and the most should come first.
select sword_type, count(sword_type) num_swords, count(sword_cost) sum_sword_cost
from sword_purchases
group by sword_type;
