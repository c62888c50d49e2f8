// The waiting room.
export {};
