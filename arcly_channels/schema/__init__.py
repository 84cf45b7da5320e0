"""What the routed gateways take and send, for programs and for people."""
