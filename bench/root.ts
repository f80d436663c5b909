import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout that this bench was compiled from: two folders above dist/bench. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
