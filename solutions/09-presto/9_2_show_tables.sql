-- Which tables are there?
show tables;
