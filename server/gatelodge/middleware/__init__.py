"""Built-in policy, each a plugin of one file on the same path as anyone's."""
