// The map of seats.
