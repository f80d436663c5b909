import { spawn } from 'node:child_process';
import type { Database } from '../data/database.js';

/** Runs a script with psql, which ends at the first error. */
export function psql({ url }: Database, script: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('psql', ['--no-psqlrc', '--quiet', '-v', 'ON_ERROR_STOP=1', url], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`psql ended with ${code}: ${said}`));
    });
    child.stdin.end(script);
  });
}
