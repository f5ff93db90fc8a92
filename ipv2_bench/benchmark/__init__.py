"""From a configuration to cells, rows, tables and dashboards. Knows all the other packages."""
