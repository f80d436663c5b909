import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { serveMetrics } from '../../src/consume/consume-metrics.js';
import { ConsumeFigures } from '../../src/consume/figures.js';
import { Counters } from '../../src/memory/counters.js';

it('a consumer serves its figures and its health, and nothing else', async () => {
  const { counters } = new Counters().claim('ingest');
  const figures = new ConsumeFigures();
  const server = await serveMetrics('127.0.0.1', 0, counters, figures);
  const { port } = server.address() as AddressInfo;
  const read = async (path: string): Promise<[status: number, body: string]> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return [answer.status, await answer.text()];
  };
  try {
    counters.add('ingestedClicks', 7);
    figures.lag.set(0, 3).set(4, 5);
    figures.unreadable = 2;
    figures.foreign = 11;
    figures.skipped = 13;
    figures.rewinds = 1;
    // Counters are what they are however often they are read.
    await read('/metrics');
    const [status, text] = await read('/metrics');
    expect(status).toBe(200);
    for (const line of [
      'switchyard_clicks_ingested_total 7',
      'switchyard_consume_partitions 2',
      'switchyard_consume_lag_records 8',
      'switchyard_consume_unreadable_total 2',
      'switchyard_consume_foreign_total 11',
      'switchyard_consume_skipped_total 13',
      'switchyard_consume_rewinds_total 1',
      'switchyard_ingest_stopped 0',
    ])
      expect(text.split('\n')).toContain(line);
    expect(await read('/health')).toEqual([200, '{"status":"ok"}']);
    expect(await read('/')).toEqual([404, '{"error":"Not found"}']);
    await expect(serveMetrics('127.0.0.1', port, counters, figures)).rejects.toThrow('EADDRINUSE');
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
