// Choosing seats: shown in the waiting room's page when it is one's turn.

// `root` is the section to fill; `concert` the concert's id; `token` the active token; `expiresAt` when it ends (RFC 3339);
// `ended(status)` is to be called with EXPIRED or COMPLETED when the token is found to have ended.
export function choose(root, { concert, token, expiresAt, ended }) {
  root.textContent = '';
  return () => {};
}
