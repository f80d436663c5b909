import { constants, fstatSync, openSync, write } from 'node:fs';
import { Socket } from 'node:net';

/** Lines that may wait in memory for an output that accepts none; beyond it they are dropped. */
const BUFFER_BYTES = 8 * 1024 * 1024;
const WRITE_BYTES = 64 * 1024;
/** How soon a full pipe is tried again. */
const RETRY_MS = 20;

/**
 * Writes lines to an unreliable file descriptor: a full disk, an unread pipe or a closed terminal costs
 * lines, which are counted, but never time. No write blocks a thread, not even one of libuv's, because the
 * process could not end while it does.
 */
export class LogOutput {
  readonly #descriptor: number;
  #lines: string[] = [];
  #bytes = 0;
  #droppedLines = 0;
  #isWriting = false;
  /** A line was begun that will never end. */
  #isTorn = false;
  #onEmpty: (() => void) | undefined;

  constructor(descriptor: number) {
    this.#descriptor = withoutBlocking(descriptor);
  }

  /** Lines that could not be written. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** @param line With its line break. */
  write(line: string): void {
    if (this.#bytes + line.length > BUFFER_BYTES) {
      this.#droppedLines += 1;
      return;
    }
    this.#lines.push(line);
    this.#bytes += line.length;
    if (!this.#isWriting) this.#writeSome();
  }

  /** Waits until all lines are out, for `milliseconds` at most. */
  async drain(milliseconds: number): Promise<void> {
    if (!this.#isWriting) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #writeSome(): void {
    if (this.#lines.length === 0) {
      this.#isWriting = false;
      this.#onEmpty?.();
      return;
    }
    this.#isWriting = true;
    let count = 0;
    let size = 0;
    while (count < this.#lines.length && size < WRITE_BYTES) {
      size += this.#lines[count]?.length ?? 0;
      count += 1;
    }
    const lines = this.#lines.splice(0, count);
    this.#bytes -= size;
    const text = lines.join('');
    this.#attempt(Buffer.from(this.#isTorn ? `\n${text}` : text), 0, count);
  }

  #attempt(bytes: Buffer, offset: number, lines: number): void {
    write(this.#descriptor, bytes, offset, bytes.length - offset, null, (error, written) => {
      if (error?.code === 'EAGAIN' || error?.code === 'EINTR') {
        setTimeout(() => this.#attempt(bytes, offset, lines), RETRY_MS).unref();
        return;
      }
      if (error !== null) {
        this.#droppedLines += lines;
        this.#isTorn ||= offset > 0;
      } else if (offset + written < bytes.length) {
        this.#attempt(bytes, offset + written, lines);
        return;
      } else {
        this.#isTorn = false;
      }
      this.#writeSome();
    });
  }
}

/**
 * The same output, through a descriptor that returns EAGAIN instead of blocking. Opened anew where possible,
 * because the flag belongs to the open file and other processes may share ours.
 */
function withoutBlocking(descriptor: number): number {
  try {
    const stats = fstatSync(descriptor);
    if (stats.isFile()) return descriptor;
    try {
      const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
      return openSync(`/proc/self/fd/${descriptor}`, flags);
    } catch {
      // A socket, a pipe of another user, or no such file system: a stream sets the flag on the given
      // descriptor.
      if (stats.isFIFO() || stats.isSocket()) keptOpen.push(new Socket({ fd: descriptor, readable: false }));
    }
  } catch {
    // A closed descriptor: every write will fail, and be counted.
  }
  return descriptor;
}

/** If they were garbage-collected, they would close their descriptors. */
const keptOpen: Socket[] = [];
