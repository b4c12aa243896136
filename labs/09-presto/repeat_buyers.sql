-- Which players have purchased more than one sword?
-- TODO 9: this shows every buyer.
select host, count(*) as num_swords, sum(sword_cost) as sum_sword_cost
from sword_purchases
group by host
order by 2 desc, 1;
