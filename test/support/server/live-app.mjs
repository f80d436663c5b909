// Real listeners of one gateway, fed as a test says: a server's own feed would take minutes to fill what the system
// buffers for a connection. Prints its port; obeys { send: bytes } and { report: true }.
import uWS from 'uWebSockets.js';
import { pino } from 'pino';
import { httpSeries } from '../../../dist/src/api/http-series.js';
import { ClientAddresses } from '../../../dist/src/gateway/http/client-address.js';
import { Exchange } from '../../../dist/src/gateway/http/exchange.js';
import { RequestLog } from '../../../dist/src/gateway/http/request-log.js';
import { LiveListeners } from '../../../dist/src/gateway/live-listeners.js';
import { ConnectionBudget } from '../../../dist/src/memory/connection-budget.js';
import { Counters } from '../../../dist/src/memory/counters.js';

const [stallMs, max] = process.argv.slice(2).map(Number);
const { counters } = new Counters(httpSeries.count).claim('gateway');
const budget = ConnectionBudget.of(max);
const listeners = new LiveListeners({ budget, counters, stallMs });
const gateway = {
  counters,
  requestLog: new RequestLog(pino({ level: 'silent' }), counters, 0),
  addresses: new ClientAddresses([]),
  open: 0,
  unprovedBytes: 0,
  isDraining: false,
};
const route = { template: '/stats/live', headers: [] };
const app = uWS.App();
app.any('/*', (res, req) => listeners.add(new Exchange(res, req, route, gateway)));
app.listen('127.0.0.1', 0, (socket) => process.send({ port: uWS.us_socket_local_port(socket) }));

process.on('message', ({ send, report, close }) => {
  if (send !== undefined) listeners.send('x'.repeat(send));
  if (close) listeners.close();
  if (report) {
    process.send({
      open: budget.open,
      gauge: counters.get('liveListeners'),
      dropped: counters.get('liveListenersDropped'),
      exchanges: gateway.open,
    });
  }
});
process.on('disconnect', () => {
  app.close();
  process.exit(0);
});
