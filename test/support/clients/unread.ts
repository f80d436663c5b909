import { connect, type Socket } from 'node:net';

/** Asks for a link many times on one connection, all at once, and reads no answer. */
export function askWithoutReading(port: number, shortCode: string, requests: number): Socket {
  const request = `GET /${shortCode} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const socket = connect(port, '127.0.0.1', () => socket.write(request.repeat(requests)));
  socket.pause();
  // It is to be cut.
  socket.on('error', () => undefined);
  return socket;
}
