"""Turns weights into tokens and epochs."""
