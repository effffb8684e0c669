"""The contracts that all parts share: topics, keys, messages, wire format, money, periods, settings. No I/O."""
