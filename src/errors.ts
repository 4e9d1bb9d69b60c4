/** Errors of the control plane: a stable `code`, and a message that says what to change. */
export class EspalierError extends Error {
  override readonly name: string = 'EspalierError';
  /** Stable and machine-readable: `ERR_CONFIG`, `ERR_NO_TUN`, … */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
