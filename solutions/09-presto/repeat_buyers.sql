-- Which players have purchased more than one sword?
select host, count(*) as num_swords, sum(sword_cost) as sum_sword_cost
from sword_purchases
where host is not null
group by host
having count(*) > 1
order by 2 desc, 1;
