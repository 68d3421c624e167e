"""What each command does; `cli/command_list.py` names them all."""
