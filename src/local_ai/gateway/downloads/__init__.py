"""Pulls that were asked for over HTTP: each is a process of its own, followed from here."""
