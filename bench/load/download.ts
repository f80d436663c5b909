import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Downloaded {
  readonly bytes: number;
  readonly seconds: number;
  /** Whether the answer came to its end. */
  readonly isComplete: boolean;
}

export interface DownloadOptions {
  /** Reads no faster than this. */
  readonly bytesPerSecond?: number;
  /** Leaves after this long. */
  readonly stopAfterSeconds?: number;
}

const SLICE_MS = 50;

/** Reads a long answer and discards it. */
export function download(url: string, options: DownloadOptions = {}): Promise<Downloaded> {
  const { bytesPerSecond, stopAfterSeconds = Number.POSITIVE_INFINITY } = options;
  const startMs = performance.now();
  const agent = new Agent({ keepAlive: false });
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      if (response.statusCode !== 200) {
        reject(new Error(`GET ${url}: ${response.statusCode}`));
        request.destroy();
        return;
      }
      let bytes = 0;
      const finish = (isComplete: boolean): void =>
        resolve({ bytes, seconds: (performance.now() - startMs) / 1000, isComplete });
      response.on('error', () => finish(false));
      response.on('end', () => finish(true));
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        const seconds = (performance.now() - startMs) / 1000;
        if (seconds > stopAfterSeconds) {
          request.destroy();
          finish(false);
          return;
        }
        if (bytesPerSecond === undefined || bytes < seconds * bytesPerSecond) return;
        response.pause();
        void sleep(SLICE_MS).then(() => response.resume());
      });
    });
    request.on('error', reject);
  });
}
