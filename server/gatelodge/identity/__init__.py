"""Who a caller may prove to be: API keys, an issuer's keys, and the metadata that tells clients where to sign in."""
