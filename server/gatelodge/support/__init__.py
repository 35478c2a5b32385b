"""For who looks after a server: what to look at when something is wrong, and what to send to who helps."""
