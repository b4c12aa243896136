-- Which sword brought in the most revenue, and which was purchased most?
select sword_type, count(sword_type) num_swords, sum(sword_cost) sum_sword_cost
from sword_purchases
group by sword_type
order by 3 desc, 2 desc;
