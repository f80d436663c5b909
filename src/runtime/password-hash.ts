import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/** 16 MiB and some 50 ms of a core for each password: RFC 7914's parameters for interactive logins. */
const COST = 16_384;
const BLOCK_SIZE = 8;
const PARALLELIZATION = 1;
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const FORM = /^scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([\w-]{8,128})\$([\w-]{8,128})$/;

/** @returns `scrypt$cost$block size$parallelization$salt$key`, the last two in base64url. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const options = { cost: COST, blockSize: BLOCK_SIZE, parallelization: PARALLELIZATION };
  const key = await derive(password, salt, KEY_BYTES, options);
  const parameters = ['scrypt', COST, BLOCK_SIZE, PARALLELIZATION].join('$');
  return `${parameters}$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/** Whether a password is the one of a hash that `hashPassword` made; false for a hash of another form. */
export async function isPasswordOf(hash: string, password: string): Promise<boolean> {
  const [, cost, blockSize, parallelization, salt = '', key = ''] = FORM.exec(hash) ?? [];
  if (cost === undefined) return false;
  const expected = Buffer.from(key, 'base64url');
  const options = {
    cost: Number(cost),
    blockSize: Number(blockSize),
    parallelization: Number(parallelization),
  };
  const actual = await derive(password, Buffer.from(salt, 'base64url'), expected.length, options);
  return timingSafeEqual(actual, expected);
}

/** On the thread pool of Node, never on the calling thread. NFC, so that an ä is an ä on every keyboard. */
function derive(password: string, salt: Buffer, bytes: number, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, bytes, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
