"""Provers: what a kind of source has to show, restored into a scratch place, to count as proven."""
