"""What goes over the wire: the envelope, the events in it, and the words of the protocol."""
