/** A backend that is wrong about everything; in JavaScript, as workers run compiled code. */
export default function createBackend() {
  return { name: 'wrong', supports: () => true, seal() {}, open() {}, forget() {}, close() {} };
}
