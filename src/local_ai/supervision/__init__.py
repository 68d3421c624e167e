"""The plan of programs, supervisord.conf made from it, and the supervisord that runs it."""
