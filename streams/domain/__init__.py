"""Rules of the business, pure: rating and what of the catalog applies to whom."""
