// A summary to be read, and the same numbers as JSON: RESULTS names the file, by default it is
// k6/results/<name>.json (relative to where k6 was started).

export function summary(name, seconds, data) {
  const file = __ENV.RESULTS || `k6/results/${name}.json`;
  return {
    stdout: text(name, seconds, data),
    [file]: `${JSON.stringify({ name, seconds, ...data }, null, 2)}\n`,
  };
}

function text(name, seconds, { metrics }) {
  const value = (metric, key) => metrics[metric]?.values[key] ?? 0;
  const requests = value('http_reqs{scenario:visits}', 'count');
  const lines = [
    '',
    `${name}: ${value('vus_max', 'value')} virtual users, ${seconds} s`,
    '',
    `  requests        ${whole(requests)}, ${whole(requests / seconds)}/s`,
    `  failed          ${whole(value('http_req_failed', 'passes'))}`,
    `  checks          ${whole(value('checks', 'passes'))} passed, ${whole(value('checks', 'fails'))} failed`,
  ];
  if (metrics.dropped_iterations !== undefined) {
    lines.push(`  not sent        ${whole(value('dropped_iterations', 'count'))}`);
  }
  lines.push(
    `  clicks          ${whole(value('clicks_counted', 'count'))} counted of ${whole(value('redirects', 'count'))} redirects answered`,
    `  received, sent  ${mega(value('data_received', 'count'))} MB, ${mega(value('data_sent', 'count'))} MB`,
    '',
    row('', ['median', 'p95', 'p99', 'p99.9', 'max', 'ms']),
    latency('all requests', metrics.http_req_duration),
    latency('redirects', metrics.redirect_ms),
  );
  for (const key of Object.keys(metrics).sort()) {
    const kind = /^http_req_duration\{name:(.+)\}$/.exec(key)?.[1];
    if (kind !== undefined) lines.push(latency(kind, metrics[key]));
  }
  lines.push('');
  for (const [metric, { thresholds = {} }] of Object.entries(metrics)) {
    for (const [rule, { ok }] of Object.entries(thresholds)) {
      lines.push(`  ${ok ? 'kept  ' : 'BROKEN'}  ${metric} ${rule}`);
    }
  }
  return `${lines.join('\n')}\n\n`;
}

function latency(name, metric) {
  if (metric === undefined) return row(name, ['-']);
  const { med, max } = metric.values;
  const some = [med, metric.values['p(95)'], metric.values['p(99)'], metric.values['p(99.9)'], max];
  return row(
    name,
    some.map((ms) => (ms ?? 0).toFixed(2)),
  );
}

function row(name, cells) {
  return `  ${name.padEnd(15)} ${cells.map((cell) => cell.padStart(9)).join('')}`;
}

function whole(number) {
  // k6's JavaScript has no locales.
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',');
}

function mega(bytes) {
  return (bytes / 1e6).toFixed(1);
}
