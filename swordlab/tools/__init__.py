"""Stand-ins for command-line tools that the machine may lack; each says on stderr that it is one."""
