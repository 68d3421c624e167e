"""The server as a service of the system: started at login or boot, by launchd or systemd."""
