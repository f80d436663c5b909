import { closeSync, openSync, writeSync } from 'node:fs';

/** Writes a CSV of users as the seed's users.csv has them. */
export function writeUsersCsv(file: string, users: number): void {
  const descriptor = openSync(file, 'w');
  writeSync(descriptor, 'id,username,email,created_at\n');
  let lines: string[] = [];
  const write = (): void => {
    writeSync(descriptor, lines.join(''));
    lines = [];
  };
  for (let n = 1; n <= users; n += 1) {
    const day = String((n % 28) + 1).padStart(2, '0');
    lines.push(
      `${n},imported_user_${n},imported.user.${n}@example.com,2026-01-${day} 12:${String(n % 60).padStart(2, '0')}:00\n`,
    );
    if (lines.length === 10_000) write();
  }
  write();
  closeSync(descriptor);
}
