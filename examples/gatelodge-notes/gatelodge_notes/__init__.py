"""A team's notes as a Gatelodge plugin, with every hook there is."""
