import { keyHeaders, messageOf, noteLoss, Refused, Unreachable, useKey } from './call.js';

/** Sends a file and reports progress, which fetch can't. @param onProgress Gets the part sent, 0 to 1. */
export function upload<T>(
  address: string,
  file: File,
  onProgress: (part: number) => void,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append('file', file);
    request.open('POST', address);
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total === 0 ? 0 : loaded / total);
    request.onerror = () => {
      noteLoss();
      reject(new Unreachable());
    };
    request.onabort = () => reject(signal.reason);
    request.onload = () => {
      const { status, responseText } = request;
      if (status >= 200 && status < 300) {
        resolve(JSON.parse(responseText) as T);
        return;
      }
      if (status === 401) useKey('');
      reject(new Refused(status, messageOf(responseText, status)));
    };
    signal.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}
