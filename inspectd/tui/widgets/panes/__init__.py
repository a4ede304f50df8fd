"""The panes of the detail view, one module each, over sources of rows made when they are looked at."""
