"""The servers under measurement: ours and its peers, all obeying the same few commands."""
