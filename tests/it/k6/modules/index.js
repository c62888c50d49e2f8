// The module `k6`, as far as the scripts use it.
export function sleep(seconds) {
  if (typeof seconds !== 'number' || !(seconds >= 0)) throw new Error(`sleep(${seconds})`);
  if (seconds > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}
