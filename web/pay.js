// Paying for what is held.
