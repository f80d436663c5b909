import { describe, expect, it } from 'vitest';
import { hashPassword, isPasswordOf } from '../../src/runtime/password-hash.js';

describe('a password’s hash', () => {
  it('tells the password from any other, and says nothing of it', async () => {
    const hash = await hashPassword('correct horse');
    expect(hash).toMatch(/^scrypt\$16384\$8\$1\$[\w-]{22}\$[\w-]{43}$/);
    expect(await isPasswordOf(hash, 'correct horse')).toBe(true);
    for (const wrong of ['', 'Correct horse', 'correct horse ', 'x'.repeat(128)])
      expect(await isPasswordOf(hash, wrong)).toBe(false);
  });

  it('is another for the same password each time', async () => {
    expect(await hashPassword('same')).not.toBe(await hashPassword('same'));
  });

  it('takes a letter and its accent for one, however they were typed', async () => {
    expect(await isPasswordOf(await hashPassword('\u00e4'), 'a\u0308')).toBe(true);
  });

  it('of another form fits nothing', async () => {
    for (const hash of ['', 'plain', 'scrypt$1$1$1$short$short', 'bcrypt$16384$8$1$abcdefgh$abcdefgh'])
      expect(await isPasswordOf(hash, hash)).toBe(false);
  });
});
