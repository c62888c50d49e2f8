// A client of onsale that buys one seat, in TypeScript, with nothing but what Node 22.18 and later, Deno, Bun or a browser has.
// Run it:  node client.ts http://127.0.0.1:8080 1 1    (where, user, concert)

type Envelope<T> =
  | { result: 'SUCCESS'; data: T; error: null }
  | { result: 'ERROR'; data: null; error: { code: string; message: string } };

type Status = 'WAITING' | 'SOLD_OUT' | 'ACTIVE' | 'EXPIRED' | 'COMPLETED';

interface Rank {
  status: Status;
  rank: number | null;
  ahead: number;
  estimatedWaitSeconds: { low: number; high: number } | null;
  pollAfterMillis: number;
  expiresAt: string | null;
}

interface Schedule { concertScheduleId: number; date: string }
interface Seat { concertSeatId: number; seatNumber: number }
interface Reservation { reservationId: number; price: number; status: string; expiresAt: string | null }

interface Request {
  user?: number;
  token?: string;
  /** Under which it is carried out once, however often it is sent. */
  key?: string;
  json?: unknown;
  form?: Record<string, string>;
}

/** A refusal. Branch on `code`; `message` is for people. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(`${code}: ${message}`);
    this.status = status;
    this.code = code;
  }
}

const PATIENCE_MS = 10_000;
const ATTEMPTS = 8;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Doubles from 200 ms, and is never the same for two clients. */
const backOff = (attempt: number) => Math.min(200 * 2 ** attempt, 5_000) * (0.5 + Math.random());

export class Shop {
  private readonly base: string;
  constructor(base: string) {
    this.base = base;
  }

  /**
   * One call, tried again while that can help: after a lost connection, 429, 503, and where another request is in the way. That
   * is safe as every call here either changes nothing, says the same when it is repeated, or has a key.
   */
  async call<T>(method: string, path: string, request: Request = {}): Promise<T> {
    const { user, token, key, json, form } = request;
    const headers: Record<string, string> = {};
    if (user !== undefined) headers['userId'] = String(user);
    if (token !== undefined) headers['token'] = token;
    if (key !== undefined) headers['Idempotency-Key'] = key;
    if (json !== undefined) headers['Content-Type'] = 'application/json';
    const body = json !== undefined ? JSON.stringify(json) : form ? new URLSearchParams(form) : null;
    for (let attempt = 0; ; attempt++) {
      const last = attempt + 1 === ATTEMPTS;
      let response: Response;
      let envelope: Envelope<T>;
      try {
        response = await fetch(this.base + path, { method, headers, body, signal: AbortSignal.timeout(PATIENCE_MS) });
        envelope = (await response.json()) as Envelope<T>;
      } catch (lost) {
        // Nobody knows whether it was carried out: the same again, under the same key, finds out.
        if (last) throw lost;
        await sleep(backOff(attempt));
        continue;
      }
      if (envelope.result === 'SUCCESS') return envelope.data;
      const { code, message } = envelope.error;
      const seconds = response.headers.get('Retry-After');
      // Where trying again can help, the server says when.
      if (seconds === null || last) throw new Refused(response.status, code, message);
      await sleep(Number(seconds) * 1000 * (1 + Math.random() / 2));
    }
  }

  /** A place in the queue of a concert; the same one if there is one. */
  async enter(user: number, concert: number): Promise<string> {
    const form = { concertId: String(concert) };
    return (await this.call<{ token: string }>('POST', '/api/v1/queues/token', { user, form })).token;
  }

  /** Waits for the token's turn by asking at the pace that the server sets. */
  async poll(token: string, tell: (rank: Rank) => void): Promise<Status> {
    for (;;) {
      const rank = await this.call<Rank>('GET', '/api/v1/queues/token/rank', { token });
      tell(rank);
      if (rank.status !== 'WAITING' && rank.status !== 'SOLD_OUT') return rank.status;
      await sleep(rank.pollAfterMillis);
    }
  }

  /** Likewise by server-sent events; after a lost connection it comes again when the server said. */
  async watch(token: string, tell: (rank: Rank) => void): Promise<Status> {
    let retryMs = 2_000;
    for (;;) {
      try {
        const response = await fetch(`${this.base}/api/v1/queues/token/events`, { headers: { token } });
        // A refusal is no stream; polling says what it is, or is let through later.
        if (!response.ok || !response.body) return this.poll(token, tell);
        let text = '';
        const decoder = new TextDecoder();
        for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
          text += decoder.decode(bytes, { stream: true });
          const events = text.split('\n\n');
          text = events.pop() ?? '';
          for (const event of events) {
            const field = (name: string) => event.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
            retryMs = Number(field('retry') ?? retryMs);
            const data = field('data');
            if (data === undefined) continue;
            const rank = JSON.parse(data) as Rank;
            tell(rank);
            if (rank.status !== 'WAITING' && rank.status !== 'SOLD_OUT') return rank.status;
          }
        }
      } catch {
        // Gone; the state comes first on the next connection, so nothing is missed.
      }
      await sleep(retryMs * (0.5 + Math.random()));
    }
  }

  /** Any free seat of the first evening that has one. Others want them too, so it takes what it can get. */
  async hold(token: string, concert: number): Promise<number> {
    const { schedules } = await this.call<{ schedules: Schedule[] }>('GET', `/api/v1/concerts/${concert}/schedules`, { token });
    for (const { concertScheduleId } of schedules) {
      const path = `/api/v1/concerts/schedules/${concertScheduleId}/seats`;
      for (;;) {
        const { seats } = await this.call<{ seats: Seat[] }>('GET', path, { token });
        const seat = seats[Math.floor(Math.random() * seats.length)];
        if (seat === undefined) break;
        const json = { concertScheduleId, concertSeatId: seat.concertSeatId };
        try {
          const held = await this.call<{ reservationId: number }>('POST', '/api/v1/reservations/concert', { token, json });
          return held.reservationId;
        } catch (error) {
          // Somebody was quicker: look again, and choose another.
          if (!(error instanceof Refused && error.code === 'SEAT_TAKEN')) throw error;
        }
      }
    }
    throw new Error('sold out');
  }

  /** Pays for a reservation, once, whatever happens on the way. */
  async pay(user: number, token: string, reservation: number): Promise<number> {
    const { price } = await this.call<Reservation>('GET', `/api/v1/reservations/${reservation}`, { token });
    const { balance } = await this.call<{ balance: number }>('GET', '/api/v1/user-wallets/balance', { user });
    if (balance < price) {
      // A key is one intention's: this charge's. In a real program it is written down before it is sent.
      const key = crypto.randomUUID();
      await this.call('PATCH', '/api/v1/user-wallets/balance', { user, key, json: { amount: price - balance } });
    }
    const key = crypto.randomUUID();
    const json = { concertReservationId: reservation };
    return (await this.call<{ paymentHistoryId: number }>('POST', '/api/v1/payment/concert', { token, key, json })).paymentHistoryId;
  }

  async buy(user: number, concert: number, tell: (rank: Rank) => void): Promise<number> {
    for (;;) {
      const token = await this.enter(user, concert);
      if ((await this.watch(token, tell)) !== 'ACTIVE') continue;
      try {
        return await this.pay(user, token, await this.hold(token, concert));
      } catch (error) {
        // The turn was over too soon: back to the end of the queue.
        if (!(error instanceof Refused && ['TOKEN_EXPIRED', 'TOKEN_NOT_ACTIVE', 'RESERVATION_EXPIRED'].includes(error.code))) throw error;
      }
    }
  }
}

// A browser has no command line.
const { process } = globalThis as { process?: { argv: string[] } };
const [base, user, concert] = process?.argv.slice(2) ?? [];
if (base && user && concert) {
  const payment = await new Shop(base).buy(Number(user), Number(concert), ({ status, ahead }) => console.error(status, ahead));
  console.log(JSON.stringify({ paymentHistoryId: payment }));
}
