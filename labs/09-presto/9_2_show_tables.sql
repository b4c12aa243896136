-- Which tables are there?
-- TODO 1: these are the schemas (databases) of the catalog.
show schemas;
