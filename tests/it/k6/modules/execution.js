// The module `k6/execution`.
export default {
  get scenario() {
    if (globalThis.onsaleVu.scenario === null) throw new Error('getting scenario information outside of the VU context is not supported');
    return globalThis.onsaleVu.scenario;
  },
};
