"""Where blobs lie: the contract of a store, and all that satisfies it, sorted by arity."""
