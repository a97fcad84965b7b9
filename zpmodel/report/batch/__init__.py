"""A report for each of many data sets, and an overview of all."""
