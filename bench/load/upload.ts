import { createReadStream, statSync } from 'node:fs';
import { request } from 'node:http';
import { pipeline } from 'node:stream';

const BOUNDARY = '----switchyard-bench';
const CHUNK_BYTES = 256 * 1024;

/** Sends a file as a form does, in the field `file`. @returns the answer's body. */
export function upload(port: number, path: string, file: string): Promise<string> {
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="users.csv"\r\nContent-Type: text/csv\r\n\r\n`;
  const tail = `\r\n--${BOUNDARY}--\r\n`;
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        headers: {
          'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
          'content-length': head.length + statSync(file).size + tail.length,
        },
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        response.on('end', () => {
          if (response.statusCode === 201) resolve(body);
          else reject(new Error(`POST ${path}: ${response.statusCode} ${body}`));
        });
      },
    );
    call.on('error', reject);
    call.write(head);
    const source = createReadStream(file, { highWaterMark: CHUNK_BYTES });
    pipeline(
      async function* parts() {
        yield* source;
        yield tail;
      },
      call,
      (error) => {
        if (error) reject(error);
      },
    );
  });
}
