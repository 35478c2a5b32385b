"""What operators are told of while they look elsewhere: messages, the outboxes they wait in, and the way to the receiver."""
