"""From usage records to counters: decoded, checked, refused one by one."""
