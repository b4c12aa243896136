-- Which columns has table sword_purchases?
describe sword_purchases;
