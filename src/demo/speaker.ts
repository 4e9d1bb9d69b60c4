/** A process that says what it has to say in lines. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** `Answer` is what it says when it is asked. */
export class Speaker<Answer = never> {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** @param child with a pipe for its output, and one for its input if it is asked anything */
  constructor(child: ChildProcess) {
    this.child = child;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** @returns the next line @throws Error if the process ends without one */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the process has ended without a word');
    return value;
  }

  /** @returns the answer, which is one line of JSON */
  async ask(question: string): Promise<Answer> {
    this.child.stdin!.write(`${question}\n`);
    return JSON.parse(await this.line()) as Answer;
  }
}
