"""The functions behind the commands, which `cli/command_list.py` lists."""
