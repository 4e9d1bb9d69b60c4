/** A backend that cannot forget; in JavaScript, as workers run compiled code. */
export function createBackend() {
  return { name: 'incomplete', supports: () => true, seal() {}, open() {}, close() {} };
}
