"""A link: one device, its tags, and the channels between it and tasks; what all kinds of links share."""
