// The waiting room.
import { call, visitor } from './api.js';
import { choose } from './seats.js';

const room = document.getElementById('room');
const root = document.getElementById('choose');
const { data } = await call('POST', '/api/v1/queues/token', { user: true, form: { concertId: room.dataset.concert } });
localStorage.setItem(`onsale.token.${room.dataset.queue}`, data.token);
room.hidden = true;
root.hidden = false;
choose(root, { concert: Number(room.dataset.concert), token: data.token, expiresAt: null, ended: (status) => { root.textContent = status; } });
