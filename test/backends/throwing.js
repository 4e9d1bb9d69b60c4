/** A backend that fails at its first packets; in JavaScript, as workers run compiled code. */
export function createBackend() {
  const fail = () => {
    throw new Error('out of order');
  };
  return { name: 'throwing', supports: () => true, seal: fail, open: fail, forget: fail, close: fail };
}
