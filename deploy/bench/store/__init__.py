"""The partition stores by themselves: how they grow."""
