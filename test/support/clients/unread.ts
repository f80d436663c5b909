import { connect, type Socket } from 'node:net';

/** Requests a link many times on one connection, all at once, and reads no answer. */
export function askWithoutReading(port: number, shortCode: string, requests: number): Socket {
  const request = `GET /${shortCode} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const socket = connect(port, '127.0.0.1', () => socket.write(request.repeat(requests)));
  socket.pause();
  // The server should cut it.
  socket.on('error', () => undefined);
  return socket;
}
